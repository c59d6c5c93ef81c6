//! Spans of a branch: an agent for each run, and in it its chats with a model, its calls of tools, its steps.

use serde_json::Value as Json;

use super::attributes as name;
use super::chat::Chats;
use super::open::{Below, OpenSpan, Tokens};
use super::span::{CLIENT, INTERNAL, Span, request};
use super::words::{error_kind, spaced, traceparent};
use crate::agents::interop::{ids, message_id, source};
use crate::agents::readable::{Part, Readable, ToldOnce};
use crate::event::{Catalogue, Event, Phase, Place, Role, Speaker, Timestamp};
use crate::limits::MAX_OPEN_CALLS;

/// Makes OpenTelemetry spans of the events of a branch, by the semantic conventions for generative AI.
///
/// Their ids are derived from those of the events, so that the same events always give the same spans. A run whose event has
/// a W3C traceparent is in that trace.
#[derive(Debug)]
pub struct Spans {
    place: Place,
    catalogue: Catalogue,
    /// Whether what was said goes along.
    has_content: bool,
    service: Option<String>,
    run: Option<OpenSpan>,
    /// No event has begun the run: it has what is done outside of runs.
    is_implicit: bool,
    steps: Vec<(String, OpenSpan)>,
    agents: Vec<(String, OpenSpan)>,
    calls: Vec<(String, Option<String>, OpenSpan)>,
    chats: Chats,
    told: ToldOnce,
    last: Option<Timestamp>,
    done: Vec<Span>,
}

/// An event at hand.
struct Now<'a> {
    event: &'a Event,
    role: &'a Role,
    payload: &'a Json,
    kind: &'a str,
    phase: Option<Phase>,
    readable: Readable,
}

impl Spans {
    /// Spans of a branch.
    #[must_use]
    pub fn new(place: &Place, catalogue: Catalogue) -> Self {
        Self {
            place: place.clone(),
            catalogue,
            has_content: false,
            service: None,
            run: None,
            is_implicit: false,
            steps: Vec::new(),
            agents: Vec::new(),
            calls: Vec::new(),
            chats: Chats::default(),
            told: ToldOnce::default(),
            last: None,
            done: Vec::new(),
        }
    }

    /// With what was said, and what tools were given and returned: each text up to 32 KiB.
    #[must_use]
    pub fn with_content(mut self) -> Self {
        self.has_content = true;
        self.chats.keep_content();
        self
    }

    /// The spans that are over, as one request of OTLP in JSON on one line; `None` if there are fewer than `least`.
    pub fn take_request(&mut self, least: usize) -> Option<String> {
        if self.done.len() < least.max(1) {
            return None;
        }
        let spans = std::mem::take(&mut self.done);
        request(self.service.as_deref().unwrap_or(env!("CARGO_PKG_NAME")), &spans)
    }

    /// An event. They have to come in their order.
    pub fn push(&mut self, event: &Event) {
        let catalogue = self.catalogue.clone();
        let none = Role::default();
        let role = catalogue.role(event.kind()).unwrap_or(&none);
        let payload = match event.is_json() {
            true => serde_json::from_slice(event.payload()).unwrap_or_default(),
            false => Json::Null,
        };
        let kind = catalogue.find(event.kind()).map_or(event.kind(), |found| found.name());
        let mut readable = Readable::of(event, &catalogue);
        self.told.leave_new(event, &catalogue, &mut readable.usage);
        if self.service.is_none() {
            self.service = event.source().map(str::to_owned);
        }
        let phase = role.phase(&payload);
        let now = Now { event, role, payload: &payload, kind, phase, readable };
        self.take(now);
        self.last = Some(self.last.map_or(event.occurred(), |last| last.max(event.occurred())));
    }

    /// Nothing more comes: what has not ended ends with the last event, marked as unfinished.
    pub fn finish(&mut self) {
        if let Some(last) = self.last {
            self.run_ends(last, None);
        }
    }

    fn take(&mut self, now: Now<'_>) {
        let entity = now.role.entity.as_ref();
        match entity.map(|entity| (entity.kind.as_str(), entity.whole)) {
            Some(("run", true)) => self.run(&now),
            Some(("step", _)) => self.step(&now),
            Some(("agent", _)) if now.phase.is_some() => self.agent(&now),
            _ => match now.kind {
                "message.delta" => {
                    self.in_a_run(&now);
                    self.chats.piece(now.event.occurred());
                }
                "message.usage" => self.counts(&now),
                _ if now.role.message.is_some() => self.says(now),
                _ if entity.is_some_and(|entity| entity.kind == "tool") => self.tool(&now),
                _ => {}
            },
        }
    }

    fn run(&mut self, now: &Now<'_>) {
        let is_within = self.run.is_some() && !self.is_implicit;
        match now.phase {
            Some(Phase::Running) if now.kind == "run.started" || !is_within => {
                self.run_ends(now.event.occurred(), None);
                self.begin(now, false);
            }
            Some(phase) if phase.is_final() => {
                if !is_within {
                    self.run_ends(now.event.occurred(), None);
                    self.begin(now, false);
                }
                self.run_ends(now.event.occurred(), Some((now, phase)));
            }
            _ => {}
        }
    }

    /// What is done outside of runs is in one that nobody has begun.
    fn in_a_run(&mut self, now: &Now<'_>) {
        if self.run.is_none() {
            self.begin(now, true);
        }
    }

    fn begin(&mut self, now: &Now<'_>, is_implicit: bool) {
        let below = now.event.trace().and_then(traceparent);
        let below = below.unwrap_or_else(|| Below { trace: self.trace(now.event), parent: None });
        let text = |at: &str| now.payload.pointer(at).and_then(Json::as_str);
        let agent = text("/agent").or_else(|| text("/agent_name")).or(now.event.source());
        let id = self.id(now.event, name::INVOKE_AGENT);
        let mut run = OpenSpan::new(now.event, id, below, INTERNAL, spaced(name::INVOKE_AGENT, agent));
        self.describe(&mut run, now, name::INVOKE_AGENT);
        run.set_text(name::AGENT, agent);
        run.set_text(name::REQUEST_MODEL, text("/model"));
        self.chats.asked(now.event.occurred());
        self.is_implicit = is_implicit;
        self.run = Some(run);
    }

    fn run_ends(&mut self, time: Timestamp, how: Option<(&Now<'_>, Phase)>) {
        self.chat_ends();
        self.within_ends(time);
        let Some(mut run) = self.run.take() else { return };
        let Some((now, phase)) = how else {
            self.done.push(if self.is_implicit { run.ends(time) } else { run.unfinished(time) });
            return;
        };
        // What the run itself says that it used is all of it.
        run.set_tokens(Tokens::of(&now.readable.usage).or(run.tokens()));
        run.set_text(name::RESPONSE_MODEL, now.readable.usage.model.as_deref());
        fail(&mut run, now, phase);
        self.done.push(run.ends(time));
    }

    /// Ends what is open within the run.
    fn within_ends(&mut self, time: Timestamp) {
        let calls = std::mem::take(&mut self.calls).into_iter().map(|(_, _, open)| open);
        let steps = std::mem::take(&mut self.steps).into_iter().rev().map(|(_, open)| open);
        let agents = std::mem::take(&mut self.agents).into_iter().rev().map(|(_, open)| open);
        self.done.extend(calls.chain(steps).chain(agents).map(|open| open.unfinished(time)));
    }

    fn step(&mut self, now: &Now<'_>) {
        let Some(entity) = &now.role.entity else { return };
        let id = entity.id(now.payload, now.event.correlation());
        match now.phase {
            Some(Phase::Running) => {
                self.in_a_run(now);
                let step = entity.name(now.payload).unwrap_or_else(|| id.clone());
                let span = self.child(now, "step", INTERNAL, spaced("step", Some(&step)));
                self.steps.push((id, span));
            }
            Some(phase) if phase.is_final() => {
                let at = self.steps.iter().rposition(|(open, _)| *open == id);
                let Some((_, mut span)) = at.map(|at| self.steps.remove(at)) else { return };
                fail(&mut span, now, phase);
                self.done.push(span.ends(now.event.occurred()));
            }
            _ => {}
        }
    }

    /// An agent that this one has called.
    fn agent(&mut self, now: &Now<'_>) {
        let Some((entity, phase)) = now.role.entity.as_ref().zip(now.phase) else { return };
        let id = entity.id(now.payload, now.event.correlation());
        let at = self.agents.iter().rposition(|(open, _)| *open == id);
        match at {
            None if phase == Phase::Running => {
                self.in_a_run(now);
                let agent = entity.name(now.payload).unwrap_or_else(|| id.clone());
                let span_name = spaced(name::INVOKE_AGENT, Some(&agent));
                let mut span = self.child(now, name::INVOKE_AGENT, INTERNAL, span_name);
                self.describe(&mut span, now, name::INVOKE_AGENT);
                span.set_text(name::AGENT, Some(&agent));
                span.set_text(name::AGENT_ID, Some(&id));
                self.agents.push((id, span));
            }
            Some(at) if phase.is_final() => {
                let (_, mut span) = self.agents.remove(at);
                span.uses(Tokens::of(&now.readable.usage));
                fail(&mut span, now, phase);
                self.done.push(span.ends(now.event.occurred()));
            }
            _ => {}
        }
    }

    fn says(&mut self, now: Now<'_>) {
        if now.kind == "message.updated" {
            return;
        }
        self.in_a_run(&now);
        let speaker = now.role.message.as_ref().map(|message| message.speaker(now.payload));
        let has_tokens = !Tokens::of(&now.readable.usage).is_empty();
        let is_answer = now
            .readable
            .parts
            .iter()
            .any(|part| matches!(part.speaker, Speaker::Assistant | Speaker::Thinking));
        let is_of_model = matches!(speaker, Some(Speaker::Assistant | Speaker::Thinking | Speaker::ToolCall));
        if is_of_model && (is_answer || has_tokens) {
            self.answers(&now);
        }
        for (n, part) in now.readable.parts.iter().enumerate() {
            match part.speaker {
                Speaker::ToolCall => self.called(&now, n, part),
                Speaker::ToolResult => self.returned(&now, n, part),
                Speaker::User | Speaker::System => self.hears(&now, part),
                _ => {}
            }
        }
    }

    /// The model has answered, or has said more of its answer.
    fn answers(&mut self, now: &Now<'_>) {
        let key = message_id::of(now.payload);
        let usage = &now.readable.usage;
        if !self.chats.goes_on(key.as_deref()) {
            self.chat_ends();
            let text = |at: &str| now.payload.pointer(at).and_then(Json::as_str);
            let model = usage.model.as_deref().or_else(|| text("/model")).or_else(|| text("/message/model"));
            let mut open = self.child(now, name::CHAT, CLIENT, spaced(name::CHAT, model));
            self.describe(&mut open, now, name::CHAT);
            open.set_text(name::REQUEST_MODEL, model);
            open.set_text(name::RESPONSE_MODEL, model);
            open.set_text(name::RESPONSE_ID, key.as_deref());
            if let Some(ms) = usage.duration_ms {
                open.took(ms);
            }
            self.chats.begins(open, key);
        }
        self.chats.says(now.event.occurred(), usage, &now.readable.parts);
    }

    fn chat_ends(&mut self) {
        let Some((span, tokens)) = self.chats.ends() else { return };
        if let Some(run) = &mut self.run {
            run.uses(tokens);
        }
        self.done.push(span);
    }

    /// Totals of the session: what has come since the last one is of the latest answer.
    fn counts(&mut self, now: &Now<'_>) {
        let used = self.chats.counts(Tokens::of(&now.readable.usage));
        if let Some((run, used)) = self.run.as_mut().zip(used) {
            run.uses(used);
        }
    }

    /// The model has what it answers next.
    fn hears(&mut self, now: &Now<'_>, part: &Part) {
        self.chat_ends();
        self.chats.told(now.event.occurred(), part);
    }

    fn called(&mut self, now: &Now<'_>, n: usize, part: &Part) {
        let call = part.call.clone().unwrap_or_default();
        let is_open = |(open, ..): &&(String, Option<String>, OpenSpan)| !call.is_empty() && *open == call;
        if self.calls.iter().any(|open| is_open(&open)) {
            return;
        }
        let mut span = self.tool_begins(now, n, part.tool.as_deref(), &call);
        if self.has_content && !part.text.is_empty() {
            span.set_text(name::ARGUMENTS, Some(&part.text));
        }
        self.awaits(call, part.tool.clone(), span);
    }

    fn awaits(&mut self, call: String, tool: Option<String>, span: OpenSpan) {
        if self.calls.len() >= MAX_OPEN_CALLS {
            let (_, _, oldest) = self.calls.remove(0);
            self.done.push(oldest.unfinished(span.start()));
        }
        self.calls.push((call, tool, span));
    }

    fn tool_begins(&mut self, now: &Now<'_>, n: usize, tool: Option<&str>, call: &str) -> OpenSpan {
        let what = format!("{}{n}", name::EXECUTE_TOOL);
        let mut span = self.child(now, &what, INTERNAL, spaced(name::EXECUTE_TOOL, tool));
        self.describe(&mut span, now, name::EXECUTE_TOOL);
        span.set_text(name::TOOL, tool.or(Some("unknown")));
        span.set_text(name::CALL, Some(call));
        span
    }

    fn returned(&mut self, now: &Now<'_>, n: usize, part: &Part) {
        let time = now.event.occurred();
        let at = self.calls.iter().rposition(|(open, tool, _)| match &part.call {
            Some(call) => open == call,
            None => *tool == part.tool,
        });
        let mut span = match at {
            Some(at) => self.calls.remove(at).2,
            None => {
                let call = part.call.clone().unwrap_or_default();
                let mut span = self.tool_begins(now, n, part.tool.as_deref(), &call);
                if let Some(ms) = now.readable.usage.duration_ms {
                    span.took(ms);
                }
                span
            }
        };
        if self.has_content {
            span.set_text(name::RESULT, Some(&part.text));
        }
        if part.is_error {
            span.fails(error_kind(now.kind), &part.text);
        }
        self.done.push(span.ends(time));
        self.hears(now, part);
    }

    /// What becomes of a call that nobody says anything about.
    fn tool(&mut self, now: &Now<'_>) {
        let Some((entity, phase)) = now.role.entity.as_ref().zip(now.phase) else { return };
        let id = entity.id(now.payload, now.event.correlation());
        let at = self.calls.iter().rposition(|(open, ..)| !id.is_empty() && *open == id);
        match at {
            None if phase == Phase::Running && now.kind == "tool.started" => {
                self.in_a_run(now);
                let tool = entity.name(now.payload);
                let span = self.tool_begins(now, 0, tool.as_deref(), &id);
                self.awaits(id, tool, span);
            }
            Some(at) if phase.is_final() => {
                let (_, _, mut span) = self.calls.remove(at);
                fail(&mut span, now, phase);
                self.done.push(span.ends(now.event.occurred()));
                self.chats.asked(now.event.occurred());
            }
            _ => {}
        }
    }

    /// A span in the run: below what its event was caused by, if that is a span, else below the latest step.
    fn child(&self, now: &Now<'_>, what: &str, kind: u8, span_name: String) -> OpenSpan {
        let steps = self.steps.iter().map(|(_, open)| open);
        let agents = self.agents.iter().map(|(_, open)| open);
        let calls = self.calls.iter().map(|(_, _, open)| open);
        let cause = now.event.causation();
        let caused = steps.chain(agents).chain(calls).find(|open| Some(open.event) == cause);
        let parent = caused.or(self.steps.last().map(|(_, open)| open)).or(self.run.as_ref());
        let trace = self.run.as_ref().map_or_else(|| self.trace(now.event), |run| run.span.trace_id.clone());
        let below = Below { trace, parent: parent.map(|parent| parent.span.span_id.clone()) };
        OpenSpan::new(now.event, self.id(now.event, what), below, kind, span_name)
    }

    fn describe(&self, span: &mut OpenSpan, now: &Now<'_>, operation: &'static str) {
        span.set_text(name::OPERATION, Some(operation));
        span.set_text(name::CONVERSATION, Some(self.place.session.as_str()));
        if operation != name::EXECUTE_TOOL {
            let of_format = now.event.meta(source::FORMAT).and_then(name::provider);
            let named = now.payload.get("provider").and_then(Json::as_str);
            span.set_text(name::PROVIDER, named.or(of_format));
        }
    }

    /// The id of a span that an event begins. Forks have spans of their own for what they inherit.
    fn id(&self, event: &Event, what: &str) -> String {
        self.derived(event, what).get(..16).unwrap_or_default().to_owned()
    }

    fn trace(&self, event: &Event) -> String {
        self.derived(event, "trace")
    }

    fn derived(&self, event: &Event, what: &str) -> String {
        let Place { session, branch } = &self.place;
        let names = [session.as_str(), branch.as_str(), what].map(str::as_bytes);
        let [session, branch, what] = names;
        let id = ids::derived(ids::SPANS, &[session, branch, event.id().bytes(), what]);
        id.uuid().simple().to_string()
    }
}

/// Says how something failed that did not complete.
fn fail(span: &mut OpenSpan, now: &Now<'_>, phase: Phase) {
    if phase == Phase::Completed {
        return;
    }
    let why = now.role.error.text(now.payload).or_else(|| now.role.reason.text(now.payload));
    let kind = match phase {
        Phase::Failed => error_kind(now.kind),
        other => other.as_str(),
    };
    span.fails(kind, &why.unwrap_or_default());
}
