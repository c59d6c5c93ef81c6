//! A branch as an event stream of AG-UI.

use serde_json::Value;

use super::open::{Open, OpenRun};
use super::own::{self, Talk};
use super::payload;
use super::record::{Outcome, Record};
use super::said::Said;
use super::state::State;
use crate::agents::interop::format::Format;
use crate::agents::interop::{message_id, source};
use crate::agents::readable::{Part, Readable};
use crate::event::{Catalogue, Event, Invalid, MAIN, Phase, Place, Role, Speaker};
use crate::limits::MAX_OPEN_CALLS;
use crate::project::DynProjection;

/// The protocol that is spoken.
const PROTOCOL: &str = "1.0";

/// Makes events of AG-UI of the events of a branch, one after the other.
///
/// Every event of AG-UI is a JSON object on one line. They are in an order that clients take, whatever was recorded: messages
/// and steps are in runs, and end before their runs do. What was imported from a stream of AG-UI is given back as it was.
///
/// ```
/// use retold::agents::interop::AgUi;
/// use retold::{NewEvent, Query, Store, event::Catalogue, event::Place};
/// let store = Store::in_memory()?;
/// let events = [
///     NewEvent::new("run.started").data(serde_json::json!({"run_id": "r-1"})),
///     NewEvent::new("message.assistant").data(serde_json::json!({"message_id": "m", "text": "Done."})),
///     NewEvent::new("run.completed").data(serde_json::json!({"run_id": "r-1"})),
/// ];
/// store.append("run-7", events.to_vec())?;
/// let mut stream = AgUi::new(&Place::new("run-7".try_into()?, "main".try_into()?), Catalogue::builtin().clone());
/// let mut types = Vec::new();
/// for event in store.events(Query::branch("run-7")?)? {
///     for line in stream.push(&event?) {
///         let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
///         types.extend(event["type"].as_str().map(str::to_owned));
///     }
/// }
/// let message = ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"];
/// assert_eq!(types, [&["RUN_STARTED"], &message[..], &["RUN_FINISHED"]].concat());
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Debug)]
pub struct AgUi {
    thread: String,
    catalogue: Catalogue,
    open: Open,
    talk: Talk,
    /// Steps by their ids, with the names that clients know them by.
    steps: Vec<(String, String)>,
    /// Calls whose results are awaited, with their tools.
    calls: Vec<(String, Option<String>)>,
    said: Option<Said>,
    state: Option<State>,
    /// What the event at hand changes in the state, until it is written.
    change: Option<Record>,
    /// The latest event: its id, and its time.
    last: Option<(String, Option<i64>)>,
}

/// An event at hand.
struct Now<'a> {
    event: &'a Event,
    role: &'a Role,
    payload: &'a Value,
    time: Option<i64>,
}

impl AgUi {
    /// The type of events after which nothing counts that came before, but for a [`state`](Self::state): a stream that begins
    /// with one of them goes on as one that began earlier.
    pub const RESTART: &'static str = "run.started";

    /// A stream of a branch. Its thread is called like the session; of another branch than `main`, like its address.
    #[must_use]
    pub fn new(place: &Place, catalogue: Catalogue) -> Self {
        let thread = match place.branch.as_str() {
            MAIN => place.session.to_string(),
            _ => place.to_string(),
        };
        Self {
            thread,
            catalogue,
            open: Open::default(),
            talk: Talk::default(),
            steps: Vec::new(),
            calls: Vec::new(),
            said: None,
            state: None,
            change: None,
            last: None,
        }
    }

    /// Along with the state of a projection: a snapshot of it with the first event that changes it, and then what each event
    /// changes. What the session itself says of its state becomes `CUSTOM`.
    ///
    /// # Errors
    /// [`Invalid`] for a projection whose states are not those of branches.
    pub fn state(mut self, projection: Box<dyn DynProjection>) -> Result<Self, Invalid> {
        self.state = Some(State::new(projection)?);
        Ok(self)
    }

    /// Remembers what was said, for [`begin`](Self::begin).
    #[must_use]
    pub fn remember(mut self) -> Self {
        self.said = Some(Said::default());
        self
    }

    /// The events of AG-UI that an event becomes. Events have to come in their order.
    pub fn push(&mut self, event: &Event) -> Vec<String> {
        let mut out = Vec::new();
        let time = payload::time(event);
        self.change = self.state.as_mut().and_then(|state| state.take(event));
        let catalogue = self.catalogue.clone();
        let none = Role::default();
        let role = catalogue.role(event.kind()).unwrap_or(&none);
        let payload = match event.is_json() {
            true => serde_json::from_slice(event.payload()).unwrap_or_default(),
            false => Value::Null,
        };
        let now = Now { event, role, payload: &payload, time };
        if event.meta(source::FORMAT) == Some(Format::AgUi.name()) {
            self.given_back(&now, &mut out);
        } else {
            self.own(&now, &mut out);
        }
        if let Some(change) = self.change.take() {
            self.beside(&now, "state", change.write(time), &mut out);
        }
        self.last = Some((event.id().to_string(), time));
        out
    }

    /// What a reader needs who begins here: the run, the messages so far, the state, and what has begun.
    #[must_use]
    pub fn begin(&self) -> Vec<String> {
        let (id, time) = self.last.clone().unwrap_or_default();
        let run = self.open.run().cloned();
        let is_between = run.is_none();
        let run = run.unwrap_or_else(|| OpenRun {
            thread: self.thread.clone(),
            id: format!("{id}-messages"),
            is_implicit: true,
        });
        let mut records = vec![started(&run)];
        records.extend(self.said.iter().flat_map(|said| said.snapshot(&self.open)));
        records.extend(self.state.as_ref().and_then(State::snapshot));
        let steps = self.open.steps().iter().cloned();
        records.extend(steps.map(|step_name| Record::StepStarted { step_name }));
        if is_between {
            records.push(finished(&run));
        }
        records.iter().map(|record| record.write(time)).collect()
    }

    /// Nothing more comes. What was said outside of runs is at its end; a run that has not ended has not.
    pub fn finish(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        if self.open.run().is_some_and(|run| run.is_implicit) {
            let time = self.last.as_ref().and_then(|(_, time)| *time);
            self.leave(time, &mut out);
        }
        out
    }

    /// A record of AG-UI, as it was imported.
    fn given_back(&mut self, now: &Now<'_>, out: &mut Vec<String>) {
        let text = payload::record(now.event);
        let read = text.as_deref().and_then(Record::read);
        let in_a_run = self.open.run().is_some_and(|run| !run.is_implicit);
        match (read, text) {
            (Some(record @ Record::RunStarted { .. }), Some(text)) => {
                let Record::RunStarted { thread_id, run_id, .. } = &record else { return };
                let run = OpenRun { thread: thread_id.clone(), id: run_id.clone(), is_implicit: false };
                self.leave(now.time, out);
                self.enter(run);
                out.push(text);
            }
            // Not one that clients take, but a run begins.
            (_, _) if self.is_restart(now.event) => self.run_starts(now, out),
            (Some(record @ (Record::RunFinished { .. } | Record::RunError { .. })), Some(text))
                if in_a_run =>
            {
                self.ends(now.time, out);
                self.note(&record);
                self.forget();
                out.push(text);
            }
            (Some(Record::RunFinished { .. } | Record::RunError { .. }), _) => {
                self.beside(now, "end", payload::raw(now.event, Format::AgUi.name()), out);
            }
            (Some(record), Some(text)) => {
                self.in_a_run(now, out);
                if self.open.takes(&record) {
                    self.note(&record);
                    out.push(text);
                } else {
                    out.push(payload::raw(now.event, Format::AgUi.name()));
                }
            }
            _ => self.beside(now, "raw", payload::raw(now.event, Format::AgUi.name()), out),
        }
    }

    /// An event of any other source.
    fn own(&mut self, now: &Now<'_>, out: &mut Vec<String>) {
        let known = self.catalogue.find(now.event.kind()).map(|found| found.name().to_owned());
        let kind = known.as_deref().unwrap_or(now.event.kind());
        let phase = now.role.phase(now.payload);
        let about = now.role.entity.as_ref().map(|entity| (entity.kind.as_str(), entity.whole));
        let is_done = match (about, kind) {
            (Some(("run", true)), _) => self.run(now, phase, out),
            (Some(("step", _)), _) => self.step(now, phase, out),
            (_, "message.delta") => self.piece(now, out),
            // It was said before.
            (_, "message.updated") => false,
            _ if now.role.message.is_some() => self.says(now, out),
            (Some(("tool", _)), _) => self.tool(now, phase, out),
            _ => match own::state(kind, now.payload).filter(|_| self.state.is_none()) {
                Some(record) => {
                    self.in_a_run(now, out);
                    self.write(record, now.time, out);
                    true
                }
                None => false,
            },
        };
        if !is_done {
            let text = match now.event.meta(source::FORMAT).filter(|_| known.is_none()) {
                Some(format) => payload::raw(now.event, format),
                None => payload::custom(now.event),
            };
            self.beside(now, "custom", text, out);
        }
    }

    fn is_restart(&self, event: &Event) -> bool {
        self.catalogue.find(event.kind()).is_some_and(|found| found.name() == Self::RESTART)
    }

    fn run_id(&self, now: &Now<'_>) -> Option<String> {
        let entity = now.role.entity.as_ref()?;
        Some(entity.id(now.payload, None)).filter(|id| !id.is_empty())
    }

    fn run_starts(&mut self, now: &Now<'_>, out: &mut Vec<String>) {
        let id = self.run_id(now).unwrap_or_else(|| now.event.id().to_string());
        let run = OpenRun { thread: self.thread.clone(), id, is_implicit: false };
        self.leave(now.time, out);
        self.write(started(&run), now.time, out);
        self.enter(run);
    }

    fn run(&mut self, now: &Now<'_>, phase: Option<Phase>, out: &mut Vec<String>) -> bool {
        let in_a_run = self.open.run().is_some_and(|run| !run.is_implicit);
        match phase {
            _ if self.is_restart(now.event) => self.run_starts(now, out),
            Some(Phase::Running) if !in_a_run => self.run_starts(now, out),
            Some(phase) if phase.is_final() => {
                let id = self.run_id(now);
                let is_other = self.open.run().zip(id.as_ref()).is_some_and(|(run, id)| run.id != *id);
                if in_a_run && is_other {
                    return false;
                }
                if !in_a_run {
                    // Its beginning is not there.
                    self.run_starts(now, out);
                }
                let Some(run) = self.open.run().cloned() else { return false };
                self.ends(now.time, out);
                let usage = Readable::of(now.event, &self.catalogue).usage;
                let end = own::run_end((run.thread, run.id), phase, now.role, now.payload, &usage);
                self.write(end, now.time, out);
                self.forget();
            }
            _ => return false,
        }
        true
    }

    fn step(&mut self, now: &Now<'_>, phase: Option<Phase>, out: &mut Vec<String>) -> bool {
        let Some(entity) = &now.role.entity else { return false };
        let id = entity.id(now.payload, now.event.correlation());
        match phase {
            Some(Phase::Running) => {
                let name =
                    entity.name(now.payload).unwrap_or_else(|| format!("step {id}").trim_end().to_owned());
                let is_taken = self.open.steps().contains(&name);
                let step_name = if is_taken { format!("{name} ({id})") } else { name };
                if self.open.steps().contains(&step_name) {
                    return false;
                }
                self.in_a_run(now, out);
                self.steps.push((id, step_name.clone()));
                self.write(Record::StepStarted { step_name }, now.time, out);
            }
            Some(phase) if phase.is_final() => {
                let by_id = self.steps.iter().position(|(open, _)| *open == id);
                let Some(at) = by_id else { return false };
                if phase == Phase::Failed {
                    out.push(payload::custom(now.event));
                }
                let (_, step_name) = self.steps.remove(at);
                self.write(Record::StepFinished { step_name }, now.time, out);
            }
            _ => return false,
        }
        true
    }

    fn piece(&mut self, now: &Now<'_>, out: &mut Vec<String>) -> bool {
        let said = own::piece(now.role, now.payload).filter(|(_, text)| !text.is_empty());
        let Some(said) = said else { return false };
        self.in_a_run(now, out);
        let records = self.talk.piece(said, message_id::of(now.payload), now.event.id().to_string());
        self.write_all(records, now.time, out);
        true
    }

    fn says(&mut self, now: &Now<'_>, out: &mut Vec<String>) -> bool {
        let readable = Readable::of(now.event, &self.catalogue);
        if readable.parts.is_empty() {
            return false;
        }
        let (mut parent, mut is_said) = (None, false);
        let key = message_id::of(now.payload);
        // Ours has an id for the whole; of others, several records can be of one message.
        let named = key.as_deref().filter(|_| now.payload.get("message_id").is_some());
        let mut used: Vec<String> = Vec::new();
        for (n, part) in readable.parts.into_iter().enumerate() {
            is_said |= match part.speaker {
                Speaker::ToolCall => self.calls(now, (n, part), parent.clone(), out),
                Speaker::ToolResult => {
                    self.returned(now, own::numbered(now.event, n), part, out);
                    true
                }
                speaker => {
                    self.in_a_run(now, out);
                    let id = named.map(|key| own::named(key, speaker)).filter(|id| !used.contains(id));
                    let id = id.unwrap_or_else(|| own::numbered(now.event, n));
                    let (id, records) = self.talk.whole(speaker, key.as_deref(), part.text, id);
                    self.write_all(records, now.time, out);
                    used.push(id.clone());
                    if speaker == Speaker::Assistant {
                        parent = Some(id);
                    }
                    true
                }
            };
        }
        is_said
    }

    /// A tool is called. The same call is told once.
    fn calls(
        &mut self,
        now: &Now<'_>,
        (n, part): (usize, Part),
        parent: Option<String>,
        out: &mut Vec<String>,
    ) -> bool {
        let id = part.call.clone().unwrap_or_else(|| own::numbered(now.event, n));
        if self.calls.iter().any(|(open, _)| *open == id) {
            return false;
        }
        self.in_a_run(now, out);
        let ends = self.talk.end();
        self.write_all(ends, now.time, out);
        let name = part.tool.clone().unwrap_or_else(|| "tool".to_owned());
        let start = Record::ToolCallStart {
            tool_call_id: id.clone(),
            tool_call_name: name,
            parent_message_id: parent,
        };
        let args = (!part.text.is_empty())
            .then(|| Record::ToolCallArgs { tool_call_id: id.clone(), delta: own::arguments(&part.text) });
        let end = Record::ToolCallEnd { tool_call_id: id.clone() };
        self.write_all([start].into_iter().chain(args).chain([end]), now.time, out);
        self.awaits(id, part.tool);
        true
    }

    fn awaits(&mut self, call: String, tool: Option<String>) {
        if self.calls.len() >= MAX_OPEN_CALLS {
            self.calls.remove(0);
        }
        self.calls.push((call, tool));
    }

    /// A tool has returned. What names no call is of the latest one of its tool.
    fn returned(&mut self, now: &Now<'_>, id: String, part: Part, out: &mut Vec<String>) {
        self.in_a_run(now, out);
        let open = self.calls.iter().rposition(|(open, tool)| match &part.call {
            Some(call) => open == call,
            None => *tool == part.tool,
        });
        let known = open.map(|at| self.calls.remove(at).0);
        let call = part.call.or(known).unwrap_or_else(|| id.clone());
        self.write(own::result(id, call, part.text, part.is_error), now.time, out);
    }

    /// What becomes of a call that nobody says anything about.
    fn tool(&mut self, now: &Now<'_>, phase: Option<Phase>, out: &mut Vec<String>) -> bool {
        let Some(entity) = &now.role.entity else { return false };
        let id = entity.id(now.payload, now.event.correlation());
        let is_open = self.calls.iter().any(|(open, _)| *open == id);
        match phase {
            Some(Phase::Running) if !is_open && !id.is_empty() => {
                let Some(name) = entity.name(now.payload) else { return false };
                self.in_a_run(now, out);
                let start = Record::ToolCallStart {
                    tool_call_id: id.clone(),
                    tool_call_name: name.clone(),
                    parent_message_id: None,
                };
                self.write_all([start, Record::ToolCallEnd { tool_call_id: id.clone() }], now.time, out);
                self.awaits(id, Some(name));
                true
            }
            Some(phase) if phase.is_final() && is_open => {
                let why = now.role.error.text(now.payload).or_else(|| now.role.reason.text(now.payload));
                let text = why.unwrap_or_else(|| format!("the call is {}", phase.as_str()));
                self.calls.retain(|(open, _)| *open != id);
                let is_error = phase != Phase::Completed;
                let result = own::result(now.event.id().to_string(), id, text, is_error);
                self.write(result, now.time, out);
                true
            }
            _ => false,
        }
    }

    /// What needs a run, and says nothing that begins one: without a run it has a short one of its own.
    fn beside(&mut self, now: &Now<'_>, what: &str, text: String, out: &mut Vec<String>) {
        if self.open.run().is_some() {
            out.push(text);
            return;
        }
        let id = format!("{}-{what}", now.event.id());
        let run = OpenRun { thread: self.thread.clone(), id, is_implicit: true };
        out.extend([started(&run).write(now.time), text, finished(&run).write(now.time)]);
    }

    /// What is said outside of runs is in one that nobody has begun.
    fn in_a_run(&mut self, now: &Now<'_>, out: &mut Vec<String>) {
        if self.open.run().is_none() {
            let id = now.event.id().to_string();
            let run = OpenRun { thread: self.thread.clone(), id, is_implicit: true };
            self.write(started(&run), now.time, out);
            self.enter(run);
        }
    }

    fn enter(&mut self, run: OpenRun) {
        self.forget();
        self.open.begin(run);
    }

    fn forget(&mut self) {
        self.talk.forget();
        self.steps.clear();
        self.calls.clear();
    }

    /// Ends the run that is open, since another one begins.
    fn leave(&mut self, time: Option<i64>, out: &mut Vec<String>) {
        let Some(run) = self.open.run().cloned() else { return };
        self.ends(time, out);
        let end = match run.is_implicit {
            true => finished(&run),
            false => Record::RunError {
                message: "the run had not ended when the next one began".to_owned(),
                code: Some("unfinished".to_owned()),
                usage: Vec::new(),
            },
        };
        self.write(end, time, out);
        self.forget();
    }

    /// Ends what is open in a run, which ends next.
    fn ends(&mut self, time: Option<i64>, out: &mut Vec<String>) {
        let ends = self.open.ends();
        self.write_all(ends, time, out);
        // The state is that after the event, but nothing comes after the end.
        if let Some(change) = self.change.take() {
            self.write(change, time, out);
        }
    }

    fn write_all(
        &mut self,
        records: impl IntoIterator<Item = Record>,
        time: Option<i64>,
        out: &mut Vec<String>,
    ) {
        for record in records {
            self.write(record, time, out);
        }
    }

    fn write(&mut self, record: Record, time: Option<i64>, out: &mut Vec<String>) {
        self.note(&record);
        out.push(record.write(time));
    }

    fn note(&mut self, record: &Record) {
        self.open.note(record);
        if let Some(said) = &mut self.said {
            said.note(record);
        }
    }
}

fn started(run: &OpenRun) -> Record {
    Record::RunStarted {
        thread_id: run.thread.clone(),
        run_id: run.id.clone(),
        parent_run_id: None,
        protocol_version: Some(PROTOCOL.to_owned()),
        input: None,
    }
}

fn finished(run: &OpenRun) -> Record {
    let outcome = Some(Outcome::Success { pending_tool_call_ids: None });
    let (thread_id, run_id) = (run.thread.clone(), run.id.clone());
    Record::RunFinished { thread_id, run_id, result: None, outcome, usage: Vec::new() }
}
