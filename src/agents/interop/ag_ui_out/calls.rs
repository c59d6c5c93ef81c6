//! Calls of tools and steps of a run: which are open, and what of them is told.

use super::lines::Now;
use super::own;
use super::record::Record;
use crate::agents::readable::Part;
use crate::event::Phase;
use crate::limits::MAX_OPEN_CALLS;

/// Calls whose results are awaited, with their tools.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<(String, Option<String>)>,
}

impl Calls {
    /// A tool is called. The same call is told once.
    pub(super) fn begins(&mut self, id: &str, part: &Part, parent: Option<String>) -> Option<Vec<Record>> {
        if self.is_open(id) {
            return None;
        }
        let name = part.tool.clone().unwrap_or_else(|| "tool".to_owned());
        let args = (!part.text.is_empty()).then(|| own::arguments(&part.text));
        self.awaits(id, part.tool.clone());
        Some(called(id, name, args, parent))
    }

    /// A tool has returned. What names no call is of the latest one of its tool.
    pub(super) fn returned(&mut self, message: String, part: Part) -> Record {
        let at = self.open.iter().rposition(|(open, tool)| match &part.call {
            Some(call) => open == call,
            None => *tool == part.tool,
        });
        let known = at.map(|at| self.open.remove(at).0);
        let call = part.call.or(known).unwrap_or_else(|| message.clone());
        own::result(message, call, part.text, part.is_error)
    }

    /// What becomes of a call that nobody says anything about.
    pub(super) fn goes_on(&mut self, now: &Now<'_>, phase: Phase) -> Option<Vec<Record>> {
        let entity = now.role.entity.as_ref()?;
        let id = entity.id(now.payload, now.event.correlation());
        let is_open = self.is_open(&id);
        if phase == Phase::Running && !is_open && !id.is_empty() {
            let name = entity.name(now.payload)?;
            self.awaits(&id, Some(name.clone()));
            return Some(called(&id, name, None, None));
        }
        if !phase.is_final() || !is_open {
            return None;
        }
        let why = now.role.error.text(now.payload).or_else(|| now.role.reason.text(now.payload));
        let text = why.unwrap_or_else(|| format!("the call is {}", phase.as_str()));
        self.open.retain(|(open, _)| *open != id);
        Some(vec![own::result(now.event.id().to_string(), id, text, phase != Phase::Completed)])
    }

    fn is_open(&self, id: &str) -> bool {
        self.open.iter().any(|(open, _)| open == id)
    }

    fn awaits(&mut self, id: &str, tool: Option<String>) {
        if self.open.len() >= MAX_OPEN_CALLS {
            self.open.remove(0);
        }
        self.open.push((id.to_owned(), tool));
    }
}

fn called(id: &str, name: String, args: Option<String>, parent: Option<String>) -> Vec<Record> {
    let tool_call_id = id.to_owned();
    let start = Record::ToolCallStart {
        tool_call_id: tool_call_id.clone(),
        tool_call_name: name,
        parent_message_id: parent,
    };
    let args = args.map(|delta| Record::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta });
    [start].into_iter().chain(args).chain([Record::ToolCallEnd { tool_call_id }]).collect()
}

/// Steps by their ids, with the names that clients know them by.
#[derive(Debug, Default)]
pub(super) struct Steps {
    open: Vec<(String, String)>,
}

impl Steps {
    /// A step begins, unless it has. Of two with one name, the second one has its id beside it.
    pub(super) fn begins(&mut self, id: String, name: String, taken: &[String]) -> Option<Record> {
        let step_name = if taken.contains(&name) { format!("{name} ({id})") } else { name };
        if taken.contains(&step_name) {
            return None;
        }
        self.open.push((id, step_name.clone()));
        Some(Record::StepStarted { step_name })
    }

    pub(super) fn ends(&mut self, id: &str) -> Option<Record> {
        let at = self.open.iter().position(|(open, _)| open == id)?;
        let (_, step_name) = self.open.remove(at);
        Some(Record::StepFinished { step_name })
    }
}
