//! A branch as an event stream of AG-UI.

use serde_json::Value;

use super::calls::{Calls, Steps};
use super::lines::{Lines, Now};
use super::open::OpenRun;
use super::own::{self, Talk};
use super::payload;
use super::record::Record;
use super::state::State;
use crate::agents::interop::format::Format;
use crate::agents::interop::{message_id, source};
use crate::agents::readable::Readable;
use crate::event::{Catalogue, Event, Invalid, MAIN, Phase, Place, Role, Speaker};
use crate::project::DynProjection;

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
    catalogue: Catalogue,
    lines: Lines,
    within: Within,
    state: Option<State>,
    /// The latest event: its id, and its time.
    last: (String, Option<i64>),
}

/// What is known of the run that is open.
#[derive(Debug, Default)]
struct Within {
    talk: Talk,
    steps: Steps,
    calls: Calls,
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
        let (lines, within) = (Lines::new(thread), Within::default());
        Self { catalogue, lines, within, state: None, last: (String::new(), None) }
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
        self.lines.remember();
        self
    }

    /// The events of AG-UI that an event becomes. Events have to come in their order.
    pub fn push(&mut self, event: &Event) -> Vec<String> {
        let time = payload::time(event);
        self.lines.changes(self.state.as_mut().and_then(|state| state.take(event)));
        let catalogue = self.catalogue.clone();
        let none = Role::default();
        let role = catalogue.role(event.kind()).unwrap_or(&none);
        let payload = match event.is_json() {
            true => serde_json::from_slice(event.payload()).unwrap_or_default(),
            false => Value::Null,
        };
        let now = Now { event, role, payload: &payload, time };
        if event.meta(source::FORMAT) == Some(Format::AgUi.name()) {
            self.given_back(&now);
        } else {
            self.own(&now);
        }
        self.lines.change_is_told(&now);
        self.last = (event.id().to_string(), time);
        self.lines.take()
    }

    /// What a reader needs who begins here: the run, the messages so far, the state, and what has begun.
    #[must_use]
    pub fn begin(&self) -> Vec<String> {
        let (id, time) = &self.last;
        let records = self.lines.begin(id, self.state.as_ref().and_then(State::snapshot));
        records.iter().map(|record| record.write(*time)).collect()
    }

    /// Nothing more comes. What was said outside of runs is at its end; a run that has not ended has not.
    pub fn finish(&mut self) -> Vec<String> {
        if !self.lines.is_in_a_run() {
            self.lines.leave(self.last.1);
            self.within = Within::default();
        }
        self.lines.take()
    }

    /// A record of AG-UI, as it was imported.
    fn given_back(&mut self, now: &Now<'_>) {
        let text = payload::record(now.event);
        let raw = || payload::raw(now.event, Format::AgUi.name());
        match (text.as_deref().and_then(Record::read), text) {
            (Some(Record::RunStarted { thread_id, run_id, .. }), Some(text)) => {
                let run = OpenRun { thread: thread_id, id: run_id, is_implicit: false };
                self.within = Within::default();
                self.lines.starts_as(run, text, now.time);
            }
            // Not one that clients take, but a run begins.
            _ if self.is_restart(now.event) => self.run_starts(now),
            (Some(record @ (Record::RunFinished { .. } | Record::RunError { .. })), Some(text))
                if self.lines.is_in_a_run() =>
            {
                self.within = Within::default();
                self.lines.ends(now.time);
                self.lines.put(&record, text);
            }
            (Some(Record::RunFinished { .. } | Record::RunError { .. }), _) => {
                self.lines.beside(now, "end", raw());
            }
            (Some(record), Some(text)) => {
                self.lines.in_a_run(now);
                match self.lines.open().takes(&record) {
                    true => self.lines.put(&record, text),
                    false => self.lines.put_text(raw()),
                }
            }
            _ => self.lines.beside(now, "raw", raw()),
        }
    }

    /// An event of any other source.
    fn own(&mut self, now: &Now<'_>) {
        let known = self.catalogue.find(now.event.kind()).map(|found| found.name().to_owned());
        let kind = known.as_deref().unwrap_or(now.event.kind());
        let phase = now.role.phase(now.payload);
        let about = now.role.entity.as_ref().map(|entity| (entity.kind.as_str(), entity.whole));
        let is_told = match (about, kind) {
            (Some(("run", true)), _) => self.run(now, phase),
            (Some(("step", _)), _) => self.step(now, phase),
            (_, "message.delta") => self.piece(now),
            // It was said before.
            (_, "message.updated") => false,
            _ if now.role.message.is_some() => self.says(now),
            (Some(("tool", _)), _) => {
                let records = phase.and_then(|phase| self.within.calls.goes_on(now, phase));
                self.told(now, records)
            }
            _ => {
                let record = own::state(kind, now.payload).filter(|_| self.state.is_none());
                self.told(now, record.map(|record| [record]))
            }
        };
        if !is_told {
            let line = match now.event.meta(source::FORMAT).filter(|_| known.is_none()) {
                Some(format) => payload::raw(now.event, format),
                None => payload::custom(now.event),
            };
            self.lines.beside(now, "custom", line);
        }
    }

    /// Writes records in a run, if there are any.
    fn told(&mut self, now: &Now<'_>, records: Option<impl IntoIterator<Item = Record>>) -> bool {
        let is_told = records.is_some();
        if let Some(records) = records {
            self.lines.in_a_run(now);
            self.lines.write_all(records, now.time);
        }
        is_told
    }

    fn is_restart(&self, event: &Event) -> bool {
        self.catalogue.find(event.kind()).is_some_and(|found| found.name() == Self::RESTART)
    }

    fn run_starts(&mut self, now: &Now<'_>) {
        let id = run_id(now).unwrap_or_else(|| now.event.id().to_string());
        self.within = Within::default();
        self.lines.starts_here(id, now.time);
    }

    fn run(&mut self, now: &Now<'_>, phase: Option<Phase>) -> bool {
        let is_within = self.lines.is_in_a_run();
        match phase {
            _ if self.is_restart(now.event) => self.run_starts(now),
            Some(Phase::Running) if !is_within => self.run_starts(now),
            Some(phase) if phase.is_final() => {
                let open = self.lines.open().run().zip(run_id(now));
                if is_within && open.is_some_and(|(run, id)| run.id != id) {
                    return false;
                }
                if !is_within {
                    // Its beginning is not there.
                    self.run_starts(now);
                }
                let Some(run) = self.lines.open().run().cloned() else { return false };
                let usage = Readable::of(now.event, &self.catalogue).usage;
                let end = own::run_end((run.thread, run.id), phase, now.role, now.payload, &usage);
                self.within = Within::default();
                self.lines.ends(now.time);
                self.lines.write(end, now.time);
            }
            _ => return false,
        }
        true
    }

    fn step(&mut self, now: &Now<'_>, phase: Option<Phase>) -> bool {
        let Some(entity) = &now.role.entity else { return false };
        let id = entity.id(now.payload, now.event.correlation());
        match phase {
            Some(Phase::Running) => {
                let name = entity.name(now.payload);
                let name = name.unwrap_or_else(|| format!("step {id}").trim_end().to_owned());
                let record = self.within.steps.begins(id, name, self.lines.open().steps());
                self.told(now, record.map(|record| [record]))
            }
            Some(phase) if phase.is_final() => {
                let record = self.within.steps.ends(&id);
                if record.is_some() && phase == Phase::Failed {
                    self.lines.put_text(payload::custom(now.event));
                }
                self.told(now, record.map(|record| [record]))
            }
            _ => false,
        }
    }

    fn piece(&mut self, now: &Now<'_>) -> bool {
        let said = own::piece(now.role, now.payload).filter(|(_, text)| !text.is_empty());
        let (key, id) = (message_id::of(now.payload), now.event.id().to_string());
        let records = said.map(|said| self.within.talk.piece(said, key, id));
        self.told(now, records)
    }

    fn says(&mut self, now: &Now<'_>) -> bool {
        let readable = Readable::of(now.event, &self.catalogue);
        let (mut parent, mut is_told) = (None, false);
        let key = message_id::of(now.payload);
        // Ours has an id for the whole; of others, several records can be of one message.
        let named = key.as_deref().filter(|_| now.payload.get("message_id").is_some());
        let mut used: Vec<String> = Vec::new();
        for (n, part) in readable.parts.into_iter().enumerate() {
            let records = match part.speaker {
                Speaker::ToolCall => {
                    let id = part.call.clone().unwrap_or_else(|| own::numbered(now.event, n));
                    let call = self.within.calls.begins(&id, &part, parent.clone());
                    call.map(|call| self.within.talk.end().into_iter().chain(call).collect())
                }
                Speaker::ToolResult => {
                    Some(vec![self.within.calls.returned(own::numbered(now.event, n), part)])
                }
                speaker => {
                    let id = named.map(|key| own::named(key, speaker)).filter(|id| !used.contains(id));
                    let id = id.unwrap_or_else(|| own::numbered(now.event, n));
                    let (id, records) = self.within.talk.whole(speaker, key.as_deref(), part.text, id);
                    used.push(id.clone());
                    if speaker == Speaker::Assistant {
                        parent = Some(id);
                    }
                    Some(records)
                }
            };
            is_told |= self.told(now, records);
        }
        is_told
    }
}

fn run_id(now: &Now<'_>) -> Option<String> {
    let entity = now.role.entity.as_ref()?;
    Some(entity.id(now.payload, None)).filter(|id| !id.is_empty())
}
