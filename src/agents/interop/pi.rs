//! Sessions of pi (`~/.pi/agent/sessions`): a line about the session, then one entry per line, each with its `id` and the
//! `parentId` of the entry that it follows.
//!
//! - The session is the `id` of the first line.
//! - A fork is a file of its own. Its first line names the file of its parent, and entries follow that are older than that
//!   line: copies. It is a branch of its parent's session, called by its own id, that leaves after the copies; its first
//!   line is no event. A file whose first line names a parent and that copies nothing is a session of its own.
//! - An entry that does not follow the last one of its branch begins a branch. One whose parent is in no file continues
//!   the branch of the entry before it.
//! - The first releases wrote entries without ids, each following the one before it.
//! - An event is caused by the call that it answers, else by its parent.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId, Timestamp};

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

/// Other programs have messages on such lines too, but another first line, and roles of their own.
pub(crate) fn is_telling(f: &Fields<'_>) -> bool {
    let role = f.object("message").text("role");
    let is_own = match f.text("type").as_deref() {
        Some("message") => role.is_some_and(|role| matches!(&*role, "toolResult" | "bashExecution")),
        Some("model_change") => f.has("provider"),
        Some("thinking_level_change" | "branch_summary") => true,
        _ => false,
    };
    is_record(f) && (is_session(f) || is_own)
}

fn is_session(f: &Fields<'_>) -> bool {
    let is_head = f.text("type").is_some_and(|what| what == "session");
    is_head && f.has("id") && f.has("timestamp") && f.has("cwd")
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut trees = Trees::new(base(input)?);
    // The session that each file of these is in.
    let mut families: HashMap<String, SessionId> = HashMap::new();
    let mut end = 0;
    let mut pieces = input.pieces().peekable();
    while let Some(ref piece) = pieces.next() {
        end = piece.ordinal as u64 + 1;
        let text = input.text(piece);
        match text.as_deref().map_err(Clone::clone).and_then(|text| Ok((text, Fields::parse(text)?))) {
            Ok((text, f)) => {
                let head = f.word("id").filter(|_| is_session(&f) && input.options.session.is_none());
                let Some(id) = head else {
                    trees.current.entry(&mut plan, piece, text, &f);
                    continue;
                };
                // Files that were joined stay what they were.
                trees.current.end_copies(&mut plan, piece.ordinal as u64);
                let next = pieces.peek().and_then(|next| input.text(next).ok());
                let fork = forked_from(&f).zip(copies_before(&f, next.as_deref()));
                let session = match &fork {
                    Some((parent, _)) => family(parent, &families, input)?,
                    None => names::session(&id)?,
                };
                families.insert(id.clone().into_owned(), session.clone());
                trees.enter(session);
                match fork {
                    Some((parent, before)) => {
                        plan.parent(&parent);
                        plan.pass_between(piece);
                        trees.current.begin_copies(names::branch(&id)?, before);
                    }
                    None => trees.current.entry(&mut plan, piece, text, &f),
                }
            }
            Err(reason) => plan.skip(piece, reason),
        }
    }
    trees.current.end_copies(&mut plan, end);
    for tree in trees.others.values().chain([&trees.current]) {
        tree.finish(&mut plan);
    }
    Ok(plan.finish())
}

/// The id of the session that the first line of a file names as its parent.
fn forked_from(f: &Fields<'_>) -> Option<String> {
    let path = f.word("parentSession").or_else(|| f.word("branchedFrom"))?;
    Some(session_in(&path).to_owned())
}

/// When a file was begun, if the entry after its first line is older.
fn copies_before(head: &Fields<'_>, next: Option<&str>) -> Option<Timestamp> {
    let (begun, next) = (times::in_member(head, "timestamp")?, Fields::parse(next?).ok()?);
    (!is_session(&next) && Entry::read(&next).time? < begun).then_some(begun)
}

/// The session that the fork of a file belongs to: that of the file, which may itself be a fork.
fn family(
    parent: &str,
    families: &HashMap<String, SessionId>,
    input: &Input<'_>,
) -> Result<SessionId, Invalid> {
    match families.get(parent).or_else(|| input.options.families.get(parent)) {
        Some(session) => Ok(session.clone()),
        None => names::session(parent),
    }
}

/// The session of entries before the first line about one.
fn base(input: &Input<'_>) -> Result<SessionId, Invalid> {
    if input.options.session.is_some() {
        return input.session_or_stem();
    }
    let mut texts = input.pieces().filter_map(|p| input.text(&p).ok());
    let id = texts.find_map(|text| {
        let f = Fields::parse(&text).ok().filter(is_session)?;
        Some(f.word("id")?.into_owned())
    });
    id.map_or_else(|| input.session_or_stem(), |id| names::session(&id))
}

/// The sessions of a file.
struct Trees {
    /// The one that entries go to.
    current: Tree,
    others: HashMap<SessionId, Tree>,
}

impl Trees {
    fn new(session: SessionId) -> Self {
        Self { current: Tree::new(session), others: HashMap::new() }
    }

    fn enter(&mut self, session: SessionId) {
        if *self.current.history.session() != session {
            let next = self.others.remove(&session).unwrap_or_else(|| Tree::new(session));
            let last = std::mem::replace(&mut self.current, next);
            self.others.insert(last.history.session().clone(), last);
        }
        // Entries without ids are known by their order in their file, and this is another one.
        self.current.unnamed = ids::Occurrences::default();
    }
}

struct Tree {
    history: History,
    /// The event of each entry; of one that could not be stored, the event before it.
    entries: HashMap<String, Option<EventId>>,
    calls: HashMap<String, EventId>,
    unnamed: ids::Occurrences,
    /// The fork whose copies are being read.
    fork: Option<Fork>,
    /// Whether only forks of the session were read, and not its own first line.
    is_copied: bool,
}

struct Fork {
    name: BranchName,
    /// Entries before this time are copies.
    begun: Timestamp,
    /// The last of them.
    last: Option<EventId>,
}

impl Tree {
    fn new(session: SessionId) -> Self {
        let (entries, calls, unnamed) = (HashMap::new(), HashMap::new(), ids::Occurrences::default());
        Self { history: History::new(session), entries, calls, unnamed, fork: None, is_copied: false }
    }

    fn begin_copies(&mut self, name: BranchName, begun: Timestamp) {
        self.fork = Some(Fork { name, begun, last: None });
        self.is_copied |= self.entries.is_empty();
        // The first entry follows the line about the session, which the copies are without.
        let head = self.id(self.history.session().as_str());
        self.entries.entry(String::new()).or_insert(Some(head));
    }

    /// A fork that has nothing but copies so far is a branch all the same.
    fn end_copies(&mut self, plan: &mut Builder<'_>, order: u64) {
        let Some(Fork { name, last: Some(last), .. }) = self.fork.take() else { return };
        if let Some(parent) = self.history.place(last) {
            let place = Place::new(self.history.session().clone(), name);
            plan.fork(order, &place, &parent, Some(last));
        }
    }

    fn finish(&self, plan: &mut Builder<'_>) {
        match self.is_copied {
            true => self.history.finish_copy(plan),
            false => self.history.finish(plan),
        }
    }

    /// The id of the event of an entry.
    fn id(&self, entry: &str) -> EventId {
        ids::derived(ids::PI, &[self.history.session().as_str().as_bytes(), entry.as_bytes()])
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
        let is_copy = |fork: &Fork| entry.time.is_some_and(|time| time < fork.begun);
        if let Some(fork) = self.fork.take_if(|fork| !is_copy(fork)) {
            self.history.begin(fork.name, fork.last);
        }
        let mut event = NewEvent::new(names::kind(&KINDS, "pi", &entry.name));
        event.id = match &id {
            Some(id) => self.id(id),
            None => {
                let session = self.history.session().as_str().as_bytes();
                self.unnamed.next(ids::derived(ids::PI, &[session, b"", text.as_bytes()]))
            }
        };
        event.source = "pi".into();
        event.actor = entry.actor.into();
        event.correlation = entry.call().map_or_else(String::new, names::label).into();
        let before = after.unwrap_or_else(|| self.history.last());
        event.causation = entry.answers.as_deref().and_then(|call| self.calls.get(call).copied()).or(before);
        let parent = if is_head { forked_from(f) } else { None };
        let noted = [(source::ID, id.clone()), ("tool", entry.tool), ("parent", parent.map(Cow::Owned))];
        for (key, value) in noted {
            if let Some(value) = value {
                event.metadata.insert(key.to_owned(), names::label(&value));
            }
        }
        let is_again = id.as_deref().is_some_and(|id| self.entries.contains_key(id));
        if let Some(after) = after.filter(|_| !is_again) {
            self.history.go_back(after.filter(|event| self.history.has(*event)));
        }
        let own = event.id;
        let draft = Draft::new(event, entry.time, Body::Record);
        let stored = match self.history.push(plan, piece, draft) {
            Added::New(id) | Added::Variant(id) => Some(id),
            Added::Duplicate => {
                let known = match id.as_deref() {
                    Some(id) => self.entries.get(id).copied().flatten(),
                    None => Some(own),
                };
                if let (Some(fork), Some(known)) = (&mut self.fork, known) {
                    fork.last = Some(known);
                }
                return;
            }
            Added::Refused => before,
        };
        if let Some(fork) = &mut self.fork {
            fork.last = stored;
        }
        self.is_copied &= !is_head;
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
pub(super) fn session_in(path: &str) -> &str {
    let stem = names::stem(path);
    stem.split_once('_').map_or(stem, |(_, id)| id)
}

/// What an import needs from an entry.
#[derive(Default)]
struct Entry<'a> {
    name: String,
    actor: &'static str,
    time: Option<Timestamp>,
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
    use crate::agents::interop::testing::{branches, drawn, events, imported, plan_of, restored};
    use crate::agents::interop::{ExportScope, Format, export_sources, load};
    use crate::event::EventId;
    use crate::store::Store;

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

    /// The first line of a fork of `p-1` or another, written later than the entries here.
    fn fork_head(id: &str, parent: &str) -> String {
        HEAD.replace("p-1", id).replace("03:04:05", "03:09:00").replace(
            "\"cwd\"",
            &format!("\"parentSession\":\"/s/2026-01-02T03-04-05-000Z_{parent}.jsonl\",\"cwd\""),
        )
    }

    fn later(entry: &str) -> String {
        entry.replace("03:04:06", "03:09:01")
    }

    #[test]
    fn a_fork_is_a_branch_of_its_parents_session() {
        let (a, b, c) = (says("a", "", "user"), says("b", "a", "assistant"), says("c", "b", "user"));
        let parent = HEAD.to_owned() + &a + &b + &c;
        let own = later(&says("d", "b", "user")) + &later(&says("e", "d", "assistant"));
        let fork = fork_head("p-2", "p-1") + &a + &b + &own;
        let plan = plan_of("2026_p-2.jsonl", &fork);
        assert_eq!(
            drawn(&plan),
            [
                "p-1/main: message.user message.assistant",
                "p-1/p-2 < main",
                "p-1/p-2: message.user message.assistant"
            ]
        );
        assert_eq!((restored(&plan), plan.records, plan.current.len()), (fork.clone(), 4, 0));
        // Whichever comes first, and in one file.
        let both = parent.clone() + &fork;
        let want = ["p-1/main: header a b c", "p-1/p-2: header a b d e"];
        for (files, has_header) in [
            (vec![("2026_p-1.jsonl", &parent), ("2026_p-2.jsonl", &fork)], true),
            (vec![("2026_p-2.jsonl", &fork), ("2026_p-1.jsonl", &parent)], false),
            (vec![("all.jsonl", &both)], true),
        ] {
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let store = imported(&[files.clone(), files.clone()].concat());
            let drawn: Vec<String> = branches(&store)
                .into_iter()
                .map(|(place, ids)| {
                    let name = |id| named(&store, id).unwrap_or_else(|| "header".to_owned());
                    format!("{place}: {}", ids.into_iter().map(name).collect::<Vec<_>>().join(" "))
                })
                .collect();
            match has_header {
                true => assert_eq!(drawn, want),
                // The first line comes after the copies that were there.
                false => assert_eq!(drawn, ["p-1/main: a b header c", "p-1/p-2: a b d e"]),
            }
            let (back, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
            assert_eq!(back.len(), files.len());
            for (name, text) in files {
                assert!(back.iter().any(|f| f.name == name && f.bytes == text.as_bytes()), "{name}");
            }
        }
    }

    fn named(store: &Store, id: EventId) -> Option<String> {
        let event = store.get_raw(id).unwrap();
        let value: serde_json::Value = serde_json::from_slice(event.payload()).unwrap();
        let is_head = value["type"] == "session";
        (!is_head).then(|| value["id"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_fork_that_was_not_gone_on_with_is_an_empty_branch() {
        let (a, b) = (says("a", "", "user"), says("b", "a", "assistant"));
        let fork = fork_head("p-2", "p-1") + &a;
        let plan = plan_of("2026_p-2.jsonl", &fork);
        assert_eq!(drawn(&plan), ["p-1/main: message.user", "p-1/p-2 < main"]);
        let parent = HEAD.to_owned() + &a + &b;
        let store = imported(&[("p-1.jsonl", &parent), ("2026_p-2.jsonl", &fork), ("2026_p-2.jsonl", &fork)]);
        let lengths: Vec<_> = branches(&store).into_iter().map(|(place, ids)| (place, ids.len())).collect();
        assert_eq!(lengths, [("p-1/main".to_owned(), 3), ("p-1/p-2".to_owned(), 2)]);
        let grown = fork + &later(&says("c", "a", "user"));
        load(&store, plan_of("2026_p-2.jsonl", &grown), &mut |_| {}).unwrap();
        assert_eq!(branches(&store)[1].1.len(), 3);
    }

    #[test]
    fn a_session_that_copies_nothing_is_its_own_and_names_its_parent() {
        let head =
            HEAD.replace("p-1", "p-2").replace("\"cwd\"", "\"parentSession\":\"/s/2026_p-1.jsonl\",\"cwd\"");
        let file = head + &says("a", "", "user");
        let plan = plan_of("2026_p-2.jsonl", &file);
        assert_eq!(drawn(&plan), ["p-2/main: session.created message.user"]);
        assert_eq!(events(&plan).next().unwrap().1.metadata["parent"], "p-1");
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

    /// Every branch of a store with the ids of its entries; the line about the session is `header`.
    fn lines(store: &Store) -> Vec<String> {
        let name = |id| named(store, id).unwrap_or_else(|| "header".to_owned());
        let line = |(place, ids): (String, Vec<EventId>)| {
            format!("{place}: {}", ids.into_iter().map(name).collect::<Vec<_>>().join(" "))
        };
        branches(store).into_iter().map(line).collect()
    }

    #[test]
    fn a_fork_of_a_fork_is_a_branch_of_the_same_session() {
        let (a, b, c) = (says("a", "", "user"), says("b", "a", "assistant"), says("c", "b", "user"));
        let (d, e) = (later(&says("d", "b", "user")), later(&says("e", "d", "assistant")));
        let last = says("f", "d", "user").replace("03:04:06", "03:20:01");
        let head = fork_head("p-3", "p-2").replace("03:09:00", "03:20:00");
        let first = HEAD.to_owned() + &a + &b + &c;
        let second = fork_head("p-2", "p-1") + &a + &b + &d + &e;
        let third = head + &a + &b + &d + &last;
        let joined = first.clone() + &second + &third;
        let want = ["p-1/main: header a b c", "p-1/p-2: header a b d e", "p-1/p-3: header a b d f"];
        let store = imported(&[("all.jsonl", &joined), ("all.jsonl", &joined)]);
        assert_eq!(lines(&store), want);
        let plan = plan_of("all.jsonl", &joined);
        let parents: Vec<_> = drawn(&plan).into_iter().filter(|step| step.contains('<')).collect();
        assert_eq!(parents, ["p-1/p-2 < main", "p-1/p-3 < p-2"]);
        assert_eq!(restored(&plan), joined);
    }

    #[test]
    fn copies_without_ids_are_known_in_one_file_too() {
        let says = |text: &str, minute: &str| {
            format!(
                "{{\"type\":\"message\",\"timestamp\":\"2026-01-02T03:{minute}:06.000Z\",\"message\":{{\"role\":\"user\",\"content\":\"{text}\"}}}}\n"
            )
        };
        let head = HEAD.replace("\"version\":3,", "");
        let fork =
            fork_head("p-2", "p-1").replace("\"version\":3,", "").replace("parentSession", "branchedFrom");
        let parent = head + &says("x", "04") + &says("x", "04") + &says("y", "04");
        let fork = fork + &says("x", "04") + &says("x", "04") + &says("z", "09");
        let both = parent.clone() + &fork;
        for files in [vec![("p-1.jsonl", &*parent), ("2026_p-2.jsonl", &*fork)], vec![("all.jsonl", &*both)]]
        {
            let store = imported(&[files.clone(), files].concat());
            let lengths: Vec<_> =
                branches(&store).into_iter().map(|(place, ids)| (place, ids.len())).collect();
            assert_eq!(lengths, [("p-1/main".to_owned(), 4), ("p-1/p-2".to_owned(), 4)]);
        }
    }

    #[test]
    fn parents_in_a_circle_and_parents_that_are_nowhere_end_nothing() {
        for (parents, branches) in [
            (["a", "a", "b", "c"], 1),
            (["d", "a", "b", "c"], 1),
            (["b", "a", "d", "c"], 1),
            (["x", "y", "z", "x"], 1),
            (["", "a", "a", "a"], 3),
        ] {
            let entries = ["a", "b", "c", "d"].into_iter().zip(parents);
            let file: String =
                HEAD.to_owned() + &entries.map(|(id, parent)| says(id, parent, "user")).collect::<String>();
            let plan = plan_of("p.jsonl", &file);
            assert_eq!(
                (plan.events(), plan.places().len()),
                (5, branches),
                "{parents:?}: {:?}",
                drawn(&plan)
            );
            assert_eq!(restored(&plan), file);
        }
        // Files that name each other, or themselves, as their parents.
        let (a, b) = (says("a", "", "user"), says("b", "a", "user"));
        for (one, two) in [("p-2", "p-1"), ("p-1", "p-2")] {
            let file = fork_head("p-1", one) + &a + &b + &fork_head("p-2", two) + &a;
            let plan = plan_of("p.jsonl", &file);
            assert_eq!(plan.records, plan.events() + plan.duplicates);
            assert_eq!(restored(&plan), file);
        }
    }

    #[test]
    fn a_label_is_an_entry_of_its_branch_whatever_it_labels() {
        let label = |id: &str, parent: &str, of: &str| {
            entry(id, parent, "label", &format!("\"targetId\":\"{of}\",\"label\":\"x\""))
        };
        let file = HEAD.to_owned()
            + &says("a", "", "user")
            + &says("b", "a", "assistant")
            + &label("c", "b", "a")
            + &label("d", "c", "nowhere")
            + &says("e", "d", "user");
        let plan = plan_of("p.jsonl", &file);
        assert_eq!(
            drawn(&plan),
            ["p-1/main: session.created message.user message.assistant pi.label pi.label message.user"]
        );
    }
}
