use std::borrow::Cow;

use crate::agents::interop::fields::{self, Fields};
use crate::agents::interop::lookalike::is_of_qwen;
use crate::agents::interop::names;
use crate::event::Timestamp;

use super::line::{Node, Role};

/// What a record is, and the type of its event.
pub(in crate::agents::interop) const KINDS: [(&str, &str); 10] = [
    ("user.prompt", "message.user"),
    ("user.result", "tool.completed"),
    ("user.result_error", "tool.errored"),
    ("user.summary", "context.summarized"),
    ("assistant.text", "message.assistant"),
    ("assistant.thinking", "message.thinking"),
    ("assistant.call", "tool.invoked"),
    ("assistant.error", "error.raised"),
    ("system.compact_boundary", "context.compacted"),
    ("system.api_error", "error.raised"),
];
/// Tools that start a sub-agent.
const SPAWNERS: [&str; 2] = ["Task", "Agent"];

/// What an import needs from a record.
#[derive(Debug, Default)]
pub(super) struct Transcript<'a> {
    pub(super) uuid: Option<Cow<'a, str>>,
    pub(super) parent: Option<Cow<'a, str>>,
    pub(super) session: Option<Cow<'a, str>>,
    pub(super) agent: Option<Cow<'a, str>>,
    /// Whether the record says that it belongs to a sub-agent, if it says anything about it.
    pub(super) sidechain: Option<bool>,
    pub(super) time: Option<Timestamp>,
    pub(super) kind: Cow<'static, str>,
    pub(super) role: Option<Role>,
    pub(super) actor: &'static str,
    pub(super) message: Option<Cow<'a, str>>,
    pub(super) calls: Vec<Cow<'a, str>>,
    pub(super) answers: Vec<Cow<'a, str>>,
    /// The tool that the first call is for.
    pub(super) tool: Option<Cow<'a, str>>,
    /// What this record asks a sub-agent to do.
    pub(super) task: Option<Cow<'a, str>>,
    /// The words of a prompt.
    pub(super) words: Option<Cow<'a, str>>,
    /// The sub-agent whose result this is.
    pub(super) spawned: Option<Cow<'a, str>>,
}

impl<'a> Transcript<'a> {
    pub(super) fn read(f: &Fields<'a>) -> Self {
        let mut record = Self {
            uuid: f.word("uuid"),
            // After a compaction the parent is null, and the logical parent is what came before.
            parent: f.word("parentUuid").or_else(|| f.word("logicalParentUuid")),
            session: f.word("sessionId"),
            agent: f.word("agentId"),
            sidechain: f.has("isSidechain").then(|| f.is_true("isSidechain")),
            time: f.text("timestamp").and_then(|t| names::time(&t)),
            ..Self::default()
        };
        if record.time.is_none() {
            record.time = f.object("snapshot").text("timestamp").and_then(|t| names::time(&t));
        }
        let what = f.text("type").unwrap_or_default();
        let name = match &*what {
            "user" => record.user(f),
            "assistant" => record.assistant(f),
            "system" => match f.word("subtype") {
                Some(sub) if KINDS.iter().any(|(n, _)| n.strip_prefix("system.") == Some(&*sub)) => {
                    format!("system.{sub}")
                }
                Some(sub) => sub.into_owned(),
                None => "system".to_owned(),
            },
            other => other.to_owned(),
        };
        record.kind = names::kind(&KINDS, "claude_code", &name);
        record
    }

    fn user(&mut self, f: &Fields<'a>) -> String {
        self.actor = "user";
        let message = f.object("message");
        let mut failed = false;
        for block in blocks(&message) {
            match block.text("type").as_deref() {
                Some("tool_result") => {
                    failed |= block.is_true("is_error");
                    self.answers.extend(block.word("tool_use_id"));
                }
                Some("text") if self.words.is_none() => self.words = block.text("text"),
                _ => {}
            }
        }
        if let Some(words) = message.text("content") {
            self.words = Some(words);
        }
        let (role, name) = if !self.answers.is_empty() {
            self.actor = "";
            self.spawned = f.object("toolUseResult").word("agentId");
            (Role::Result, if failed { "user.result_error" } else { "user.result" })
        } else if f.is_true("isCompactSummary") {
            (Role::Summary, "user.summary")
        } else if f.is_true("isMeta") {
            (Role::Aside, "user.meta")
        } else {
            (Role::Prompt, "user.prompt")
        };
        self.role = Some(role);
        name.to_owned()
    }

    fn assistant(&mut self, f: &Fields<'a>) -> String {
        self.actor = "assistant";
        self.role = Some(Role::Assistant);
        let message = f.object("message");
        self.message = message.word("id");
        let (mut text, mut thinking) = (message.text("content").is_some(), false);
        for block in blocks(&message) {
            match block.text("type").as_deref() {
                Some("tool_use" | "server_tool_use" | "mcp_tool_use") => self.call(&block),
                Some("text") => text = true,
                Some("thinking" | "redacted_thinking") => thinking = true,
                _ => {}
            }
        }
        let name = match () {
            () if f.is_true("isApiErrorMessage") => "assistant.error",
            () if !self.calls.is_empty() => "assistant.call",
            () if text => "assistant.text",
            () if thinking => "assistant.thinking",
            () => "assistant",
        };
        name.to_owned()
    }

    fn call(&mut self, block: &Fields<'a>) {
        self.calls.extend(block.word("id"));
        let name = block.word("name");
        if self.task.is_none() && name.as_deref().is_some_and(|n| SPAWNERS.contains(&n)) {
            self.task = block.object("input").word("prompt");
        }
        if self.tool.is_none() {
            self.tool = name;
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role.unwrap_or(Role::Other)
    }

    /// What ties the event to others: a tool call to its result, a message to its parts.
    pub(super) fn correlation(&self) -> Option<&str> {
        self.calls.first().or(self.answers.first()).or(self.message.as_ref()).map(|c| &**c)
    }

    /// The record as the tree sees it, with these `calls` and `answers`.
    pub(super) fn node<'n>(&'n self, calls: &'n [&'n str], answers: &'n [&'n str]) -> Option<Node<'n>> {
        Some(Node {
            uuid: self.uuid.as_deref()?,
            parent: self.parent.as_deref(),
            role: self.role(),
            message: self.message.as_deref(),
            calls,
            answers,
        })
    }
}

/// The blocks of a message's content; none when it is plain text.
fn blocks<'a>(message: &Fields<'a>) -> Vec<Fields<'a>> {
    message.list("content").into_iter().filter_map(|b| Fields::parse(b.get()).ok()).collect()
}

/// Records that have no `uuid`, and the member that each has besides its type.
const WITHOUT_ID: [(&str, &str); 9] = [
    ("summary", "leafUuid"),
    ("file-history-snapshot", "snapshot"),
    ("queue-operation", "operation"),
    ("custom-title", "customTitle"),
    ("ai-title", "aiTitle"),
    ("agent-name", "agentName"),
    ("last-prompt", "lastPrompt"),
    ("mode", "mode"),
    ("permission-mode", "permissionMode"),
];

/// Members that a transcript's records with an id have, also if they are null.
const COMMON: [&str; 3] = ["parentUuid", "isSidechain", "userType"];

/// Whether only a transcript has such a record. A session, an id and a type are not enough: other logs have them too.
/// Qwen Code has all of it.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let is_common = || COMMON.iter().any(|name| f.raw(name).is_some());
    is_record(f) && (!f.has("uuid") || is_common() && !is_of_qwen(f))
}

/// Whether a record can belong to a transcript.
pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.value("type").and_then(fields::string) else { return false };
    let known = WITHOUT_ID.iter().any(|(name, member)| *name == what && f.has(member));
    known || (f.has("uuid") && f.has("sessionId"))
}
