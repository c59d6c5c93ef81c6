//! The lines of a stream, in the order on which clients insist: everything is in a run.

use serde_json::Value;

use super::open::{Open, OpenRun};
use super::record::{Outcome, Record};
use super::said::Said;
use crate::event::{Event, Role};

/// The protocol that is spoken.
const PROTOCOL: &str = "1.0";

/// An event at hand.
pub(super) struct Now<'a> {
    pub(super) event: &'a Event,
    pub(super) role: &'a Role,
    pub(super) payload: &'a Value,
    pub(super) time: Option<i64>,
}

/// What was written, and what of it is open.
#[derive(Debug)]
pub(super) struct Lines {
    thread: String,
    open: Open,
    said: Option<Said>,
    /// What the event at hand changes in the state, until it is written.
    change: Option<Record>,
    out: Vec<String>,
}

impl Lines {
    pub(super) fn new(thread: String) -> Self {
        Self { thread, open: Open::default(), said: None, change: None, out: Vec::new() }
    }

    /// Keeps the messages.
    pub(super) fn remember(&mut self) {
        self.said = Some(Said::default());
    }

    /// What was written since this was asked for.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn open(&self) -> &Open {
        &self.open
    }

    /// Whether events of the session have begun a run, which has not ended.
    pub(super) fn is_in_a_run(&self) -> bool {
        self.open.run().is_some_and(|run| !run.is_implicit)
    }

    pub(super) fn write(&mut self, record: Record, time: Option<i64>) {
        let line = record.write(time);
        self.put(&record, line);
    }

    pub(super) fn write_all(&mut self, records: impl IntoIterator<Item = Record>, time: Option<i64>) {
        for record in records {
            self.write(record, time);
        }
    }

    /// Writes a record that has its text.
    pub(super) fn put(&mut self, record: &Record, line: String) {
        self.open.note(record);
        if let Some(said) = &mut self.said {
            said.note(record);
        }
        self.out.push(line);
    }

    /// Writes what changes nothing in the order, within a run.
    pub(super) fn put_text(&mut self, line: String) {
        self.out.push(line);
    }

    /// What needs a run, and says nothing that begins one: without a run it has a short one of its own.
    pub(super) fn beside(&mut self, now: &Now<'_>, what: &str, line: String) {
        if self.open.run().is_some() {
            self.out.push(line);
            return;
        }
        let run = self.implicit(format!("{}-{what}", now.event.id()));
        self.out.extend([started(&run).write(now.time), line, finished(&run).write(now.time)]);
    }

    /// What an event changes in the state, to be written with what it says.
    pub(super) fn changes(&mut self, change: Option<Record>) {
        self.change = change;
    }

    /// Writes that, if it was not.
    pub(super) fn change_is_told(&mut self, now: &Now<'_>) {
        if let Some(change) = self.change.take() {
            self.beside(now, "state", change.write(now.time));
        }
    }

    /// What is said outside of runs is in one that nobody has begun.
    pub(super) fn in_a_run(&mut self, now: &Now<'_>) {
        if self.open.run().is_none() {
            let run = self.implicit(now.event.id().to_string());
            self.starts(run, now.time);
        }
    }

    /// A run begins, after the one that is open has ended.
    pub(super) fn starts(&mut self, run: OpenRun, time: Option<i64>) {
        let line = started(&run).write(time);
        self.starts_as(run, line, time);
    }

    /// The same for a run of our thread.
    pub(super) fn starts_here(&mut self, id: String, time: Option<i64>) {
        self.starts(OpenRun { thread: self.thread.clone(), id, is_implicit: false }, time);
    }

    /// The same with a text of its own.
    pub(super) fn starts_as(&mut self, run: OpenRun, line: String, time: Option<i64>) {
        self.leave(time);
        self.open.begin(run);
        self.out.push(line);
    }

    /// Ends the run that is open, since another one begins, or nothing more comes.
    pub(super) fn leave(&mut self, time: Option<i64>) {
        let Some(run) = self.open.run().cloned() else { return };
        self.ends(time);
        let end = match run.is_implicit {
            true => finished(&run),
            false => Record::RunError {
                message: "the run had not ended when the next one began".to_owned(),
                code: Some("unfinished".to_owned()),
                usage: Vec::new(),
            },
        };
        self.write(end, time);
    }

    /// Ends what is open in a run, which ends next.
    pub(super) fn ends(&mut self, time: Option<i64>) {
        let ends = self.open.ends();
        self.write_all(ends, time);
        // The state is that after the event, but nothing comes after the end.
        if let Some(change) = self.change.take() {
            self.write(change, time);
        }
    }

    /// What a reader needs who begins here.
    pub(super) fn begin(&self, last: &str, state: Option<Record>) -> Vec<Record> {
        let run = self.open.run().cloned();
        let is_between = run.is_none();
        let run = run.unwrap_or_else(|| self.implicit(format!("{last}-messages")));
        let mut records = vec![started(&run)];
        records.extend(self.said.iter().flat_map(|said| said.snapshot(&self.open)));
        records.extend(state);
        let steps = self.open.steps().iter().cloned();
        records.extend(steps.map(|step_name| Record::StepStarted { step_name }));
        if is_between {
            records.push(finished(&run));
        }
        records
    }

    fn implicit(&self, id: String) -> OpenRun {
        OpenRun { thread: self.thread.clone(), id, is_implicit: true }
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
