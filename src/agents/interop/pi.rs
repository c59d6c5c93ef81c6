//! Sessions of pi (`~/.pi/agent/sessions`): a line about the session, then one entry per line, each with its `id` and the
//! `parentId` of the entry that it follows.
//!
//! - The session is the `id` of the first line. A fork is a file of its own that begins with a copy of its parent's
//!   entries: it is another session, and says in its metadata which one its parent is.
//! - An entry that does not follow the last one of its branch begins a branch. One whose parent is in no file continues
//!   the branch of the entry before it.
//! - The first releases wrote entries without ids, each following the one before it.
//! - An event is caused by the call that it answers, else by its parent.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::{EventId, Invalid, NewEvent, SessionId};

use super::builder::{Added, Builder, Draft};
use super::fields::Fields;
use super::history::History;
use super::input::Input;
use super::piece::Piece;
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// Their entries that mean the same as one of our types.
pub(super) const KINDS: [(&str, &str); 18] = [
    ("session", "session.created"),
    ("message.user", "message.user"),
    ("message.assistant", "message.assistant"),
    ("message.assistant_call", "tool.invoked"),
    ("message.assistant_thinking", "message.thinking"),
    ("message.assistant_error", "error.raised"),
    ("message.tool_result", "tool.completed"),
    ("message.tool_result_error", "tool.errored"),
    ("message.bash_execution", "tool.completed"),
    ("message.bash_execution_error", "tool.errored"),
    ("message.custom", "message.system"),
    ("message.branch_summary", "context.summarized"),
    ("message.compaction_summary", "context.summarized"),
    ("custom_message", "message.system"),
    ("compaction", "context.compacted"),
    ("branch_summary", "context.summarized"),
    ("model_change", "mode.changed"),
    ("thinking_level_change", "mode.changed"),
];

/// Kinds of entries, and a member that each has besides its id and its parent.
const ENTRIES: [(&str, &str); 9] = [
    ("message", "message"),
    ("model_change", "modelId"),
    ("thinking_level_change", "thinkingLevel"),
    ("compaction", "summary"),
    ("branch_summary", "summary"),
    ("custom", "customType"),
    ("custom_message", "customType"),
    ("label", "targetId"),
    ("session_info", "timestamp"),
];

pub(crate) fn is_record(f: &Fields<'_>) -> bool {
    let Some(what) = f.text("type") else { return false };
    let has_parent = f.has("id") && f.raw("parentId").is_some();
    let is_entry = ENTRIES.iter().any(|(name, member)| *name == what && f.has(member));
    let is_message = what == "message" && f.object("message").has("role");
    is_session(f) || f.has("timestamp") && ((is_entry && has_parent) || is_message) && !f.has("data")
}

fn is_session(f: &Fields<'_>) -> bool {
    let is_head = f.text("type").is_some_and(|what| what == "session");
    is_head && f.has("id") && f.has("timestamp") && f.has("cwd")
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut trees = vec![Tree::new(base(input)?)];
    for ref piece in input.pieces() {
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => {
                // Files that were joined stay sessions of their own.
                if let Some(id) = f.word("id").filter(|_| is_session(&f) && input.options.session.is_none()) {
                    let session = names::session(&id)?;
                    match trees.iter().position(|tree| *tree.history.session() == session) {
                        Some(at) => trees.swap(0, at),
                        None => trees.insert(0, Tree::new(session)),
                    }
                }
                if let Some(tree) = trees.first_mut() {
                    tree.entry(&mut plan, piece, text, &f);
                }
            }
            Err(reason) => plan.skip(piece, reason),
        }
    }
    for tree in &trees {
        tree.history.finish(&mut plan);
    }
    Ok(plan.finish())
}

/// The session of entries before the first line about one.
fn base(input: &Input<'_>) -> Result<SessionId, Invalid> {
    if input.options.session.is_some() {
        return input.session_or_stem();
    }
    let texts = input.pieces().filter_map(|p| input.text(&p).ok());
    let mut names = texts.filter_map(|t| {
        let f = Fields::parse(&t).ok().filter(is_session)?;
        Some(f.word("id")?.into_owned())
    });
    names.next().map_or_else(|| input.session_or_stem(), |name| names::session(&name))
}

struct Tree {
    history: History,
    /// The event of each entry; of one that could not be stored, the event before it.
    entries: HashMap<String, Option<EventId>>,
    calls: HashMap<String, EventId>,
    unnamed: ids::Occurrences,
}

impl Tree {
    fn new(session: SessionId) -> Self {
        let (entries, calls, unnamed) = (HashMap::new(), HashMap::new(), ids::Occurrences::default());
        Self { history: History::new(session), entries, calls, unnamed }
    }

    fn entry(&mut self, plan: &mut Builder<'_>, piece: &Piece, text: &str, f: &Fields<'_>) {
        let is_head = is_session(f);
        let id = f.word("id");
        let parent = f.word("parentId");
        // The first entry follows the line about the session.
        let after = match &parent {
            Some(parent) => self.entries.get(&**parent).copied(),
            None if is_head || self.entries.is_empty() || id.is_none() || f.raw("parentId").is_none() => None,
            None => Some(self.entries.get("").copied().flatten()),
        };
        let entry = Entry::read(f);
        let session = self.history.session().as_str().as_bytes();
        let mut event = NewEvent::new(names::kind(&KINDS, "pi", &entry.name));
        event.id = match &id {
            Some(id) => ids::derived(ids::PI, &[session, id.as_bytes()]),
            None => self.unnamed.next(ids::derived(ids::PI, &[session, b"", text.as_bytes()])),
        };
        event.source = "pi".into();
        event.actor = entry.actor.into();
        event.correlation = entry.call().map_or_else(String::new, names::label).into();
        let before = after.unwrap_or_else(|| self.history.last());
        event.causation = entry.answers.as_deref().and_then(|call| self.calls.get(call).copied()).or(before);
        let parent = f.word("parentSession").or_else(|| f.word("branchedFrom")).filter(|_| is_head);
        let noted = [
            (source::ID, id.clone()),
            ("tool", entry.tool),
            ("parent", parent.as_deref().map(|path| Cow::Borrowed(session_in(path)))),
        ];
        for (key, value) in noted {
            if let Some(value) = value {
                event.metadata.insert(key.to_owned(), names::label(&value));
            }
        }
        let is_again = id.as_deref().is_some_and(|id| self.entries.contains_key(id));
        if let Some(after) = after.filter(|_| !is_again) {
            self.history.go_back(after);
        }
        let draft = Draft::new(event, entry.time, Body::Record);
        let stored = match self.history.push(plan, piece, draft) {
            Added::New(id) | Added::Variant(id) => Some(id),
            Added::Duplicate => return,
            Added::Refused => before,
        };
        let key = if is_head { Some(Cow::Borrowed("")) } else { id };
        if let Some(key) = key {
            self.entries.insert(key.into_owned(), stored);
        }
        for call in entry.calls {
            if let Some(event) = stored {
                self.calls.entry(call.into_owned()).or_insert(event);
            }
        }
    }
}

/// The session in a path like `…/2026-01-02T03-04-05-000Z_<id>.jsonl`.
fn session_in(path: &str) -> &str {
    let stem = names::stem(path);
    stem.split_once('_').map_or(stem, |(_, id)| id)
}

/// What an import needs from an entry.
#[derive(Default)]
struct Entry<'a> {
    name: String,
    actor: &'static str,
    time: Option<crate::event::Timestamp>,
    calls: Vec<Cow<'a, str>>,
    answers: Option<Cow<'a, str>>,
    tool: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    fn read(f: &Fields<'a>) -> Self {
        let message = f.object("message");
        let what = f.text("type").unwrap_or_default();
        let time = times::in_member(f, "timestamp").or_else(|| times::in_member(&message, "timestamp"));
        let mut entry = Self { time, ..Self::default() };
        entry.name = match message.text("role") {
            Some(role) if what == "message" => format!("message.{}", entry.message(&message, &role)),
            _ => what.into_owned(),
        };
        entry
    }

    fn message(&mut self, message: &Fields<'a>, role: &str) -> String {
        match role {
            "user" => self.actor = "user",
            "assistant" => {
                self.actor = "assistant";
                return self.assistant(message).to_owned();
            }
            "toolResult" => {
                (self.answers, self.tool) = (message.word("toolCallId"), message.word("toolName"));
                let failed = message.is_true("isError");
                return if failed { "tool_result_error" } else { "tool_result" }.to_owned();
            }
            "bashExecution" => {
                self.actor = "user";
                self.tool = Some(Cow::Borrowed("bash"));
                let failed = message.scalar("exitCode").is_some_and(|code| code != "0")
                    || message.is_true("cancelled");
                return if failed { "bash_execution_error" } else { "bash_execution" }.to_owned();
            }
            _ => {}
        }
        names::snake(role)
    }

    fn assistant(&mut self, message: &Fields<'a>) -> &'static str {
        let (mut text, mut thinking) = (message.text("content").is_some(), false);
        for block in message.list("content").into_iter().filter_map(|b| Fields::parse(b.get()).ok()) {
            match block.text("type").as_deref() {
                Some("toolCall") => {
                    self.calls.extend(block.word("id"));
                    self.tool = self.tool.take().or_else(|| block.word("name"));
                }
                Some("text") => text = true,
                Some("thinking") => thinking = true,
                _ => {}
            }
        }
        match () {
            () if message.text("stopReason").as_deref() == Some("error") => "assistant_error",
            () if !self.calls.is_empty() => "assistant_call",
            () if thinking && !text => "assistant_thinking",
            () => "assistant",
        }
    }

    fn call(&self) -> Option<&str> {
        self.calls.first().or(self.answers.as_ref()).map(|c| &**c)
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::interop::Format;
    use crate::agents::interop::testing::{drawn, events, plan_of, restored};

    const HEAD: &str = "{\"type\":\"session\",\"version\":3,\"id\":\"p-1\",\"timestamp\":\"2026-01-02T03:04:05.000Z\",\"cwd\":\"/x\"}\n";

    fn entry(id: &str, parent: &str, what: &str, rest: &str) -> String {
        let parent = if parent.is_empty() { "null".to_owned() } else { format!("\"{parent}\"") };
        format!(
            "{{\"type\":\"{what}\",\"id\":\"{id}\",\"parentId\":{parent},\"timestamp\":\"2026-01-02T03:04:06.000Z\",{rest}}}\n"
        )
    }

    fn says(id: &str, parent: &str, role: &str) -> String {
        entry(
            id,
            parent,
            "message",
            &format!(
                "\"message\":{{\"role\":\"{role}\",\"content\":[{{\"type\":\"text\",\"text\":\"{id}\"}}]}}"
            ),
        )
    }

    #[test]
    fn an_entry_that_follows_an_earlier_one_begins_a_branch() {
        let file = HEAD.to_owned()
            + &says("a", "", "user")
            + &says("b", "a", "assistant")
            + &says("c", "b", "user")
            + &says("d", "c", "assistant")
            + &entry("e", "b", "branch_summary", "\"fromId\":\"d\",\"summary\":\"tried\"")
            + &says("f", "e", "user")
            + &says("g", "", "user");
        let plan = plan_of("x/2026_p-1.jsonl", &file);
        assert_eq!(plan.format, Format::Pi);
        assert_eq!(
            events(&plan).filter(|(p, _)| p.branch.as_str() == "main").count(),
            2,
            "{:?}",
            drawn(&plan)
        );
        assert_eq!(plan.places().len(), 3);
        assert_eq!(restored(&plan), file);
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[5].kind(), all[5].causation), ("context.summarized", Some(all[2].id)));
        assert_eq!(all[7].causation, Some(all[0].id));
    }

    #[test]
    fn calls_and_results_are_tied_together() {
        let call = "\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\"},{\"type\":\"toolCall\",\"id\":\"t1\",\"name\":\"bash\"},{\"type\":\"toolCall\",\"id\":\"t2\",\"name\":\"read\"}]}";
        let result = |id: &str, bad: bool| {
            format!(
                "\"message\":{{\"role\":\"toolResult\",\"toolCallId\":\"{id}\",\"toolName\":\"bash\",\"isError\":{bad}}}"
            )
        };
        let file = HEAD.to_owned()
            + &says("a", "", "user")
            + &entry("b", "a", "message", call)
            + &entry("c", "b", "message", &result("t1", false))
            + &entry("d", "c", "message", &result("t2", true))
            + &entry("e", "d", "model_change", "\"provider\":\"p\",\"modelId\":\"m\"")
            + &entry("f", "e", "label", "\"targetId\":\"a\",\"label\":\"x\"")
            + &entry("g", "f", "message", "\"message\":{\"role\":\"bashExecution\",\"exitCode\":1}")
            + &entry("h", "g", "compaction", "\"summary\":\"s\"");
        let plan = plan_of("p.jsonl", &file);
        assert_eq!(
            drawn(&plan),
            [
                "p-1/main: session.created message.user tool.invoked tool.completed tool.errored mode.changed pi.label tool.errored context.compacted"
            ]
        );
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[3].causation, all[4].causation), (Some(all[2].id), Some(all[2].id)));
        assert_eq!((&*all[2].correlation, &*all[4].correlation), ("t1", "t2"));
    }

    #[test]
    fn a_fork_is_a_session_of_its_own_that_names_its_parent() {
        let entries = says("a", "", "user") + &says("b", "a", "assistant");
        let parent = HEAD.to_owned() + &entries;
        let fork = HEAD
            .replace("p-1", "p-2")
            .replace("\"cwd\"", "\"parentSession\":\"/s/2026-01-02T03-04-05-000Z_p-1.jsonl\",\"cwd\"")
            + &entries
            + &says("c", "b", "user");
        let plan = plan_of("2026_p-2.jsonl", &fork);
        assert_eq!(events(&plan).next().unwrap().1.metadata["parent"], "p-1");
        let plan = plan_of("all.jsonl", parent.clone() + &fork);
        assert_eq!(plan.places().len(), 2);
        assert_eq!(restored(&plan), parent + &fork);
    }

    #[test]
    fn entries_without_ids_follow_one_another() {
        let file = HEAD.replace("\"version\":3,", "")
            + "{\"type\":\"message\",\"timestamp\":\"2026-01-02T03:04:06.000Z\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n"
            + "{\"type\":\"message\",\"timestamp\":\"2026-01-02T03:04:06.000Z\",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n";
        let plan = plan_of("p.jsonl", &file);
        assert_eq!(drawn(&plan), ["p-1/main: session.created message.user message.user"]);
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_parent_that_is_lost_does_not_break_the_branch() {
        let file = HEAD.to_owned()
            + &says("a", "", "user")
            + &says("b", "a", "assistant").replacen('}', "", 1)
            + &says("c", "b", "user");
        let plan = plan_of("p.jsonl", &file);
        assert_eq!(drawn(&plan), ["p-1/main: session.created message.user message.user"]);
        assert_eq!((plan.skipped.len(), plan.skipped[0].line), (1, 3));
    }
}
