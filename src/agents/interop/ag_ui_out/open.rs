//! What a stream has begun and not ended. Clients refuse a stream whose events are out of order: what comes before a run
//! or after it, a piece of a message that has not begun, a run that ends before its messages.

use super::record::Record;

/// What is open at a moment of a stream.
#[derive(Debug, Default)]
pub(super) struct Open {
    run: Option<OpenRun>,
    /// Names of steps, in the order in which they began.
    steps: Vec<String>,
    messages: Vec<String>,
    calls: Vec<String>,
    /// Thoughts: the whole of one, and its message.
    reasonings: Vec<String>,
    thoughts: Vec<String>,
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub(super) struct OpenRun {
    pub(super) thread: String,
    pub(super) id: String,
    /// No event of the session has begun it: what is said outside of runs is in one of these.
    pub(super) is_implicit: bool,
}

impl Open {
    /// The run that has begun and not ended.
    pub(super) fn run(&self) -> Option<&OpenRun> {
        self.run.as_ref()
    }

    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }

    pub(super) fn messages(&self) -> &[String] {
        &self.messages
    }

    pub(super) fn calls(&self) -> &[String] {
        &self.calls
    }

    pub(super) fn reasonings(&self) -> &[String] {
        &self.reasonings
    }

    pub(super) fn thoughts(&self) -> &[String] {
        &self.thoughts
    }

    /// Whether clients take this event now, within a run. The beginning and the end of runs are not asked for here.
    pub(super) fn takes(&self, record: &Record) -> bool {
        let has = |of: &[String], id: &str| of.iter().any(|open| open == id);
        match record {
            Record::StepStarted { step_name } => !has(&self.steps, step_name),
            Record::StepFinished { step_name } => has(&self.steps, step_name),
            Record::TextMessageStart { message_id, .. } => !has(&self.messages, message_id),
            Record::TextMessageContent { message_id, .. } | Record::TextMessageEnd { message_id } => {
                has(&self.messages, message_id)
            }
            Record::ToolCallStart { tool_call_id, .. } => !has(&self.calls, tool_call_id),
            Record::ToolCallArgs { tool_call_id, .. } | Record::ToolCallEnd { tool_call_id } => {
                has(&self.calls, tool_call_id)
            }
            Record::ReasoningStart { message_id } => !has(&self.reasonings, message_id),
            Record::ReasoningEnd { message_id } => has(&self.reasonings, message_id),
            Record::ReasoningMessageStart { message_id, .. } => !has(&self.thoughts, message_id),
            Record::ReasoningMessageContent { message_id, .. }
            | Record::ReasoningMessageEnd { message_id } => has(&self.thoughts, message_id),
            _ => true,
        }
    }

    /// A run begins.
    pub(super) fn begin(&mut self, run: OpenRun) {
        *self = Self { run: Some(run), ..Self::default() };
    }

    /// An event was written.
    pub(super) fn note(&mut self, record: &Record) {
        let end = |of: &mut Vec<String>, id: &str| of.retain(|open| open != id);
        match record {
            Record::StepStarted { step_name } => self.steps.push(step_name.clone()),
            Record::StepFinished { step_name } => end(&mut self.steps, step_name),
            Record::TextMessageStart { message_id, .. } => self.messages.push(message_id.clone()),
            Record::TextMessageEnd { message_id } => end(&mut self.messages, message_id),
            Record::ToolCallStart { tool_call_id, .. } => self.calls.push(tool_call_id.clone()),
            Record::ToolCallEnd { tool_call_id } => end(&mut self.calls, tool_call_id),
            Record::ReasoningStart { message_id } => self.reasonings.push(message_id.clone()),
            Record::ReasoningEnd { message_id } => end(&mut self.reasonings, message_id),
            Record::ReasoningMessageStart { message_id, .. } => self.thoughts.push(message_id.clone()),
            Record::ReasoningMessageEnd { message_id } => end(&mut self.thoughts, message_id),
            Record::RunFinished { .. } | Record::RunError { .. } => *self = Self::default(),
            _ => {}
        }
    }

    /// The events that end what is open but the run itself, in the order in which clients take them.
    pub(super) fn ends(&self) -> Vec<Record> {
        let thoughts = self.thoughts.iter().cloned();
        let reasonings = self.reasonings.iter().cloned();
        let messages = self.messages.iter().cloned();
        let calls = self.calls.iter().cloned();
        let steps = self.steps.iter().rev().cloned();
        let ends = thoughts.map(|message_id| Record::ReasoningMessageEnd { message_id });
        let ends = ends.chain(reasonings.map(|message_id| Record::ReasoningEnd { message_id }));
        let ends = ends.chain(messages.map(|message_id| Record::TextMessageEnd { message_id }));
        let ends = ends.chain(calls.map(|tool_call_id| Record::ToolCallEnd { tool_call_id }));
        ends.chain(steps.map(|step_name| Record::StepFinished { step_name })).collect()
    }
}
