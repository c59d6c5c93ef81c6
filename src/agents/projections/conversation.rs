//! What a session is about, and where its conversation stands: for people who look for one among many.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::roles::{RoleReading, Roles, clip};
use super::stamp;
use crate::agents::one_line;
use crate::agents::readable::{Part, said_briefly};
use crate::event::payload::Payload;
use crate::event::payload::message::MessageDelta;
use crate::event::{Catalogue, Event, Phase, Pointers, Role, Speaker, Timestamp};
use crate::limits::{MAX_ABANDONED_SECONDS, MAX_OPEN_CALLS, MAX_TITLE_CHARS};
use crate::project::{ApplyError, Projection};

/// Types that give a session its title, and where that is; the most telling first.
const TITLES: [(&str, &[&str]); 8] = [
    ("claude_code.custom_title", &["/customTitle"]),
    ("pi.session_info", &["/name"]),
    ("codex.thread_name_updated", &["/payload/thread_name"]),
    ("copilot_cli.session_title_changed", &["/data/title"]),
    ("session.created", &["/title", "/name"]),
    ("claude_code.ai_title", &["/aiTitle"]),
    ("gemini_cli.changed", &["/$set/summary"]),
    ("claude_code.summary", &["/summary"]),
];

/// From here on in that list a title says less than the first prompt: it may be that of an earlier session.
const WEAK: usize = 7;

/// Raised when something here or in how events are read changes what the state is.
const VERSION: u64 = 1;

/// Folds the conversation of a branch: its title, its first prompt, and who spoke last.
///
/// ```
/// use retold::agents::projections::Conversation;
/// use retold::event::Catalogue;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let talks = store.project(Conversation::new(Catalogue::builtin()))?;
/// let said = |text: &str| serde_json::json!({ "text": text });
/// store.append("run-7", NewEvent::new("message.user").data(said("Fix the login.")))?;
/// assert_eq!(talks.state("run-7")?.title(), Some("Fix the login."));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conversation {
    roles: Arc<Roles>,
    titles: Arc<[(&'static str, Pointers)]>,
}

/// What [`Conversation`] knows about a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConversationState {
    /// The title that an event gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// How telling that title is: the place of its type among those that give one.
    #[serde(default)]
    rank: usize,
    /// The first prompt of the user, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Messages of the user.
    pub prompts: u64,
    /// Messages of the model.
    pub answers: u64,
    /// Calls of tools.
    pub calls: u64,
    /// Ids of the calls that have not returned; of tools that name no call, their names.
    pub open: VecDeque<String>,
    /// The model that answered last, if it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who spoke last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Speaker>,
    /// When the first event happened.
    #[serde(default, with = "stamp::maybe", skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// When the latest event happened.
    #[serde(default, with = "stamp::maybe", skip_serializing_if = "Option::is_none")]
    pub latest: Option<Timestamp>,
}

/// Where a conversation stands, as far as it shows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConversationStatus {
    /// Something is awaited: an answer of the model, or of a tool.
    Running,
    /// The model spoke last, and no tool is at work.
    Completed,
    /// Something was awaited, and nothing has happened for an hour.
    Abandoned,
}

impl ConversationStatus {
    /// As it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Conversation {
    /// With the roles of this catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self::with(Roles::new(catalogue))
    }

    pub(super) fn with(roles: Arc<Roles>) -> Self {
        let titles = TITLES.iter().map(|(kind, at)| (*kind, Pointers::new(at).unwrap_or_default()));
        Self { roles, titles: titles.collect() }
    }

    /// The title that an event gives, and how telling it is.
    fn titled(&self, event: &Event) -> Option<(usize, String)> {
        let mut all = self.titles.iter().enumerate();
        let (rank, (_, at)) = all.find(|(_, (kind, _))| *kind == event.kind())?;
        let title = at.text(&super::parsed::parsed(event))?;
        Some((rank, one_line(&title, MAX_TITLE_CHARS))).filter(|(_, title)| !title.is_empty())
    }
}

impl Projection for Conversation {
    type State = ConversationState;

    fn name(&self) -> &str {
        "conversation"
    }

    fn shape(&self) -> u64 {
        self.roles.shape().rotate_left(1) ^ VERSION
    }

    fn apply(&self, talk: &mut ConversationState, event: &Event) -> Result<(), ApplyError> {
        let time = event.occurred();
        talk.began = Some(talk.began.map_or(time, |began| began.min(time)));
        talk.latest = Some(talk.latest.map_or(time, |latest| latest.max(time)));
        if let Some((rank, title)) = self.titled(event)
            && (talk.given.is_none() || rank <= talk.rank)
        {
            (talk.given, talk.rank) = (Some(title), rank);
        }
        if let Some(reading) = self.roles.read(event, |role| role.message.is_some()) {
            talk.take(event, &reading);
        } else if !talk.open.is_empty()
            && let Some(reading) = self.roles.read(event, Role::has_phase)
        {
            talk.ended(&reading);
        }
        Ok(())
    }
}

impl ConversationState {
    /// The title that it was given, or its first prompt.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let given = self.given.as_deref();
        given.filter(|_| self.rank < WEAK).or(self.prompt.as_deref()).or(given)
    }

    /// Where it stands at a moment; `None` if nobody has spoken.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Option<ConversationStatus> {
        let last = self.last?;
        if last == Speaker::Assistant && self.open.is_empty() {
            return Some(ConversationStatus::Completed);
        }
        let silent = stamp::between(self.latest.unwrap_or(now), now) / 1_000_000;
        Some(if silent > MAX_ABANDONED_SECONDS {
            ConversationStatus::Abandoned
        } else {
            ConversationStatus::Running
        })
    }

    fn take(&mut self, event: &Event, reading: &RoleReading) {
        let parts = said_briefly(&reading.role, &reading.data, event.correlation());
        // A piece of a message, which comes as a whole too, or only in pieces.
        if event.kind() == MessageDelta::NAME {
            self.last = parts.last().map_or(self.last, |part| Some(part.speaker));
            return;
        }
        for part in &parts {
            self.part(part);
        }
        let figures = reading.role.usage.iter().flat_map(|figure| figure.read(&reading.data));
        if let Some(model) = figures.filter_map(|usage| usage.model).next() {
            self.model = Some(clip(model));
        }
    }

    /// A tool that ended otherwise: it timed out, or was cancelled.
    fn ended(&mut self, reading: &RoleReading) {
        let is_over = || reading.role.phase(&reading.data).is_some_and(Phase::is_final);
        if reading.about.kind == "tool" && is_over() {
            self.close(&reading.about.id);
        }
    }

    fn close(&mut self, call: &str) {
        self.open.retain(|open| open != call);
    }

    fn part(&mut self, part: &Part) {
        let call = || clip(part.call.clone().or_else(|| part.tool.clone()).unwrap_or_default());
        match part.speaker {
            Speaker::User => {
                if part.is_injected() || part.text.trim().is_empty() {
                    return;
                }
                self.prompts += 1;
                // What was awaited when the user spoke does not come any more.
                self.open.clear();
                if self.prompt.is_none() {
                    self.prompt = Some(one_line(&part.text, MAX_TITLE_CHARS));
                }
            }
            Speaker::Assistant => self.answers += 1,
            Speaker::ToolCall => {
                let call = call();
                // A record that is written again says it again.
                if !self.open.contains(&call) {
                    self.calls += 1;
                    self.open.push_back(call);
                }
                if self.open.len() > MAX_OPEN_CALLS {
                    self.open.pop_front();
                }
            }
            Speaker::ToolResult => self.close(&call()),
            _ => return,
        }
        self.last = Some(part.speaker);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, folded};
    use super::*;
    use serde_json::json;

    fn talk(events: Vec<crate::event::NewEvent>) -> ConversationState {
        folded(Conversation::new(Catalogue::builtin()), events)
    }

    fn user(second: i64, text: &str) -> crate::event::NewEvent {
        at(second, "message.user", json!({ "text": text }))
    }

    #[test]
    fn a_title_is_the_most_telling_that_was_given_else_the_first_prompt() {
        let talk = |more: Vec<crate::event::NewEvent>| {
            let mut events = vec![
                user(1, "<environment_context>cwd</environment_context>"),
                user(2, " Fix\nthe login. "),
                user(3, "And now?"),
            ];
            events.extend(more);
            talk(events)
        };
        assert_eq!(talk(vec![]).title(), Some("Fix the login."));
        assert_eq!(talk(vec![]).prompts, 2);
        let summary = |text: &str| at(4, "claude_code.ai_title", json!({ "aiTitle": text }));
        let weak = at(4, "claude_code.summary", json!({ "summary": "of an earlier session" }));
        assert_eq!(talk(vec![weak.clone()]).title(), Some("Fix the login."));
        assert_eq!(self::talk(vec![weak]).title(), Some("of an earlier session"));
        let own = |text: &str| at(5, "claude_code.custom_title", json!({ "customTitle": text }));
        assert_eq!(talk(vec![summary("a"), summary("b")]).title(), Some("b"));
        assert_eq!(talk(vec![own("c"), summary("b")]).title(), Some("c"));
        assert_eq!(talk(vec![summary("b"), own("c"), own("")]).title(), Some("c"));
        let long = "ä".repeat(1_000);
        assert_eq!(talk(vec![own(&long)]).title().unwrap().chars().count(), MAX_TITLE_CHARS + 1);
        assert_eq!(ConversationState::default().title(), None);
    }

    #[test]
    fn a_conversation_stands_where_its_last_words_leave_it() {
        let call = at(2, "tool.invoked", json!({"tool": "grep", "tool_call_id": "c"}));
        let result = at(3, "tool.completed", json!({"tool": "grep", "tool_call_id": "c", "result": "x"}));
        let answer = at(4, "message.assistant", json!({"text": "Done."}));
        let after = |events: &[&crate::event::NewEvent], second: i64| {
            let events = events.iter().map(|event| (*event).clone()).collect();
            talk(events).status(Timestamp::from_micros(second * 1_000_000))
        };
        let prompt = user(1, "go");
        assert_eq!(after(&[], 9), None);
        assert_eq!(after(&[&at(1, "run.started", json!({}))], 9), None);
        assert_eq!(after(&[&prompt], 9), Some(ConversationStatus::Running));
        assert_eq!(after(&[&prompt], 9_000), Some(ConversationStatus::Abandoned));
        assert_eq!(after(&[&prompt, &call], 9), Some(ConversationStatus::Running));
        assert_eq!(after(&[&prompt, &call, &result], 9), Some(ConversationStatus::Running));
        assert_eq!(after(&[&prompt, &call, &result, &answer], 9_000), Some(ConversationStatus::Completed));
        // A tool that timed out is not awaited any more; progress does not end a call.
        let late = at(3, "tool.timed_out", json!({"tool": "grep", "tool_call_id": "c"}));
        let progress = at(3, "tool.progress", json!({"tool": "grep", "tool_call_id": "c", "output": "x"}));
        assert_eq!(after(&[&prompt, &call, &late, &answer], 9_000), Some(ConversationStatus::Completed));
        assert_eq!(after(&[&prompt, &call, &progress, &answer], 9), Some(ConversationStatus::Running));
        // A record of Gemini CLI repeats its calls when their results are there.
        let calls = |more: serde_json::Value| {
            let mut call = json!({"id": "g", "name": "ls", "args": {}});
            call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"type": "gemini", "content": "", "toolCalls": [call]})
        };
        let (begun, done) =
            (at(2, "tool.invoked", calls(json!({}))), at(3, "tool.completed", calls(json!({"result": "x"}))));
        assert_eq!(after(&[&prompt, &begun, &done, &answer], 9_000), Some(ConversationStatus::Completed));
        // What was said beside a call does not end anything.
        assert_eq!(after(&[&prompt, &call, &answer], 9), Some(ConversationStatus::Running));
        assert_eq!(after(&[&prompt, &answer, &prompt], 9_000), Some(ConversationStatus::Abandoned));
    }

    #[test]
    fn times_are_those_of_happening() {
        let talk = talk(vec![user(7, "a"), user(3, "b"), at(5, "x.y", json!(null))]);
        let seconds = |time: Option<Timestamp>| time.unwrap().micros() / 1_000_000;
        assert_eq!((seconds(talk.began), seconds(talk.latest)), (3, 7));
    }
}
