//! Which branch a record of a transcript belongs to.
//!
//! A transcript is a tree by `parentUuid`, but most of its forks are not alternatives: the parts of one assistant
//! message, the results of its parallel tool calls, hooks and progress are all siblings under one record. Such
//! siblings are one line of history. A record begins a branch of its own only when it is a turn (a prompt, or an
//! assistant message with another id) under a parent after which the line has already taken another turn.
//!
//! Every decision depends only on what comes before the record in the file, so a file that has grown gives the same
//! lines as before, only longer. The first child of a record continues its line. Which line is `main` is decided when
//! the whole file has been read: the one that [`Tree::live`] returns.
//!
//! What has no place in the tree continues the line of the previous record: a record without an id, and one whose
//! parent is in no file. Only a prompt that explicitly has no parent, after another prompt, is a new beginning.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::agents::interop::live::side_names;
use crate::event::{BranchName, EventId, Invalid};

/// What a record is to its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The user's words: always a turn.
    Prompt,
    /// Words that the program puts in the user's mouth: they go with what surrounds them.
    Aside,
    /// A summary that replaces what came before it, and continues it.
    Summary,
    /// What tools returned.
    Result,
    /// A part of an assistant's message: a turn, unless other parts of the message are there.
    Assistant,
    /// Anything else: hooks, progress, notices.
    Other,
}

/// What the tree needs to know about a record.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) uuid: &'a str,
    pub(super) parent: Option<&'a str>,
    pub(super) role: Role,
    /// The assistant message that it is a part of.
    pub(super) message: Option<&'a str>,
    /// Tool calls that it makes.
    pub(super) calls: &'a [&'a str],
    /// Tool calls that it answers.
    pub(super) answers: &'a [&'a str],
}

/// Where a record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// At the end of this branch.
    End(usize),
    /// Into a new branch after this event of that branch, or after nothing. `index` is the event's place there.
    Fork { from: usize, at: Option<EventId>, index: usize },
}

/// The branches of one session as far as the file has been read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    lines: Vec<Line>,
    names: BTreeSet<BranchName>,
    known: HashMap<String, Known>,
    calls: HashMap<String, Call>,
    /// The branch on which each assistant message began.
    messages: HashMap<String, usize>,
    /// The branch of the previous record.
    current: usize,
    /// The branch of the last record that belongs to the conversation.
    live: usize,
    /// Whether there was a prompt: the next one without a parent is a new beginning.
    prompted: bool,
    /// Where a broken record was whose children may still come.
    broken: Option<Known>,
}

#[derive(Debug)]
struct Call {
    line: usize,
    event: EventId,
    answered: bool,
}

#[derive(Debug)]
struct Line {
    branch: BranchName,
    /// The branch that it forks from, and the index there of the last record that it inherits.
    from: Option<(usize, usize)>,
    length: usize,
    /// The last record that ended what came before it: children of earlier ones are alternatives.
    turn: usize,
    message: Option<String>,
    last: Option<EventId>,
}

#[derive(Clone, Debug)]
struct Known {
    line: usize,
    index: usize,
    /// Where its parent is.
    under: Option<(usize, usize)>,
    /// The record's own event, unless it was lost. If several records have its id, the latest one's.
    event: Option<EventId>,
    /// The event of the first record with its id.
    first: Option<EventId>,
    /// The event after which a branch that begins under this record forks.
    at: Option<EventId>,
    message: Option<String>,
}

impl Known {
    fn spot(&self) -> (usize, usize) {
        (self.line, self.index)
    }
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The event of a record: the latest that has this id.
    pub(super) fn event(&self, uuid: &str) -> Option<EventId> {
        self.known.get(uuid).and_then(|k| k.event)
    }

    /// The event of the first record with this id.
    pub(super) fn first(&self, uuid: &str) -> Option<EventId> {
        self.known.get(uuid).and_then(|k| k.first)
    }

    /// The event of a tool call.
    pub(super) fn call(&self, id: &str) -> Option<EventId> {
        self.calls.get(id).map(|c| c.event)
    }

    /// The branch of the previous record.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    pub(super) fn branch(&self, line: usize) -> BranchName {
        self.lines.get(line).map_or_else(BranchName::main, |l| l.branch.clone())
    }

    /// The branch on which the conversation continued last.
    pub(super) fn live(&self) -> BranchName {
        self.branch(self.live)
    }

    /// Where a record goes. Changes nothing; `add` or `lose` follows.
    pub(super) fn place(&mut self, node: &Node<'_>) -> Spot {
        if self.is_empty() {
            return Spot::End(0);
        }
        let parent = node.parent.and_then(|p| self.find(p));
        if let Some(before) = self.known.get(node.uuid) {
            // The id again, with other content. Under the same parent it is the record written again.
            return Spot::End(match &parent {
                None => self.current,
                Some(parent) if before.under == Some(parent.spot()) => self.onward(before),
                Some(parent) => self.onward(parent),
            });
        }
        let related = self.related(node);
        let Some(parent) = parent else {
            return match (related, node.role) {
                (Some(line), _) => Spot::End(line),
                (None, Role::Prompt) if node.parent.is_none() && self.prompted => {
                    Spot::Fork { from: 0, at: None, index: 0 }
                }
                (None, _) => Spot::End(self.current),
            };
        };
        let open = self.lines.get(parent.line).is_some_and(|l| parent.index >= l.turn);
        let same_message = node.message.is_some() && node.message == parent.message.as_deref();
        if matches!(node.role, Role::Other | Role::Summary) {
            return Spot::End(self.onward(&parent));
        }
        if open || same_message || related == Some(parent.line) {
            return Spot::End(parent.line);
        }
        Spot::Fork { from: parent.line, at: parent.at, index: parent.index }
    }

    /// The branch of a notice beside a record: the one that is being written, if it has that record in its history.
    fn onward(&self, known: &Known) -> usize {
        let mut next = Some((self.current, usize::MAX));
        while let Some((line, last)) = next {
            if line == known.line && (known.index <= last) {
                return self.current;
            }
            next = self.lines.get(line).and_then(|l| l.from);
        }
        known.line
    }

    /// A record's parent. An unknown one is taken for the record that was broken just before.
    fn find(&mut self, parent: &str) -> Option<Known> {
        if let Some(known) = self.known.get(parent) {
            return Some(known.clone());
        }
        let lost = self.broken.take()?;
        self.known.insert(parent.to_owned(), lost.clone());
        Some(lost)
    }

    /// The branch of the rest of its message, or of a call that it is the first to answer.
    fn related(&self, node: &Node<'_>) -> Option<usize> {
        let unanswered = |id: &&str| self.calls.get(*id).filter(|c| !c.answered).map(|c| c.line);
        let message = || node.message.and_then(|m| self.messages.get(m).copied());
        node.answers.iter().find_map(unanswered).or_else(message)
    }

    /// Adds a record where `place` said, as this event; `name` is the name of a new branch.
    pub(super) fn add(&mut self, node: &Node<'_>, spot: &Spot, event: EventId, name: Option<BranchName>) {
        let (line, from) = match *spot {
            Spot::End(line) => (line, None),
            Spot::Fork { from, at, index } => (self.lines.len(), at.map(|_| (from, index))),
        };
        let late = self.is_late(node, spot);
        self.broken = None;
        self.prompted |= node.role == Role::Prompt;
        if !late && node.role != Role::Other {
            self.live = line;
        }
        if line >= self.lines.len() {
            let branch = name.unwrap_or_else(BranchName::main);
            self.begin(branch, from);
        }
        let anchor = node.parent.and_then(|p| self.known.get(p)).cloned();
        let under = anchor.as_ref().map(Known::spot);
        let index = self.extend(line, event);
        if let Some(l) = self.lines.get_mut(line).filter(|_| !late) {
            match node.role {
                Role::Prompt | Role::Summary => (l.turn, l.message) = (index, None),
                Role::Assistant if node.message.is_none() || l.message.as_deref() != node.message => {
                    (l.turn, l.message) = (index, node.message.map(str::to_owned));
                }
                _ => {}
            }
        }
        for call in node.calls {
            self.calls.entry((*call).to_owned()).or_insert(Call { line, event, answered: false });
        }
        for answer in node.answers {
            if let Some(call) = self.calls.get_mut(*answer) {
                call.answered = true;
            }
        }
        if let Some(message) = node.message {
            self.messages.entry(message.to_owned()).or_insert(line);
        }
        // A late record that is not a turn counts as being where its parent is: what follows it is judged from there.
        let (line, index, at) = match anchor {
            Some(parent) if late && node.role == Role::Other => (parent.line, parent.index, parent.at),
            _ => (line, index, Some(event)),
        };
        let message = node.message.map(str::to_owned);
        let first = self.first(node.uuid).or(Some(event));
        let known = Known { line, index, under, event: Some(event), first, at, message };
        self.known.insert(node.uuid.to_owned(), known);
    }

    /// Whether it joins a line that has continued since its parent.
    fn is_late(&self, node: &Node<'_>, spot: &Spot) -> bool {
        if node.role == Role::Summary {
            return false;
        }
        let (Spot::End(line), Some(parent)) = (spot, node.parent.and_then(|p| self.known.get(p))) else {
            return false;
        };
        parent.line != *line || self.lines.get(*line).is_some_and(|l| parent.index < l.turn)
    }

    /// A record without an id, or with one that is taken, goes to the end of a branch.
    pub(super) fn extend(&mut self, line: usize, event: EventId) -> usize {
        if self.lines.is_empty() {
            self.begin(BranchName::main(), None);
        }
        self.current = line;
        let Some(l) = self.lines.get_mut(line) else { return 0 };
        l.length += 1;
        l.last = Some(event);
        l.length - 1
    }

    fn begin(&mut self, branch: BranchName, from: Option<(usize, usize)>) {
        self.names.insert(branch.clone());
        self.lines.push(Line { branch, from, length: 0, turn: 0, message: None, last: None });
    }

    /// A record that can be read but not stored: its children continue from the record before it.
    pub(super) fn lose(&mut self, node: &Node<'_>, spot: &Spot) {
        if self.known.contains_key(node.uuid) {
            return;
        }
        let known = match (spot, node.parent.and_then(|p| self.known.get(p))) {
            (Spot::Fork { .. }, Some(parent)) => Known { event: None, ..parent.clone() },
            (Spot::Fork { .. }, None) => return,
            (Spot::End(line), _) => self.end_of(*line),
        };
        self.known.insert(node.uuid.to_owned(), known);
    }

    /// Notes that a record here cannot be read.
    pub(super) fn broke(&mut self) {
        self.broken = Some(self.end_of(self.current));
    }

    fn end_of(&self, line: usize) -> Known {
        let (length, at) = self.lines.get(line).map_or((0, None), |l| (l.length, l.last));
        let index = length.saturating_sub(1);
        Known { line, index, under: None, event: None, first: None, at, message: None }
    }

    /// The name of the branch that begins with this record: `side-` and as many digits of its id as make the name
    /// new, at least eight.
    pub(super) fn name(&self, uuid: &str, id: EventId) -> Result<BranchName, Invalid> {
        if self.lines.is_empty() {
            return Ok(BranchName::main());
        }
        let given = Uuid::try_parse(uuid).unwrap_or_else(|_| id.uuid());
        let mut names = side_names(given, id.uuid());
        let name = names.find(|n| !self.names.contains(n));
        name.map_or_else(|| BranchName::new(format!("side-{id}")), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays records through a tree and draws it: the branch of each, and where branches leave.
    struct Play {
        tree: Tree,
        drawn: Vec<String>,
    }

    impl Play {
        fn new() -> Self {
            Self { tree: Tree::default(), drawn: Vec::new() }
        }

        fn node(
            &mut self,
            uuid: &str,
            parent: &str,
            role: Role,
            message: &str,
            calls: &[&str],
            answers: &[&str],
        ) -> &mut Self {
            let some = |s| if str::is_empty(s) { None } else { Some(s) };
            let node = Node { uuid, parent: some(parent), role, message: some(message), calls, answers };
            let spot = self.tree.place(&node);
            let id = EventId::new();
            let name = self.tree.name(uuid, id).unwrap();
            let name = if self.tree.is_empty() {
                BranchName::main()
            } else {
                BranchName::new(format!("{name}").replace(&name.as_str()[5..], uuid)).unwrap()
            };
            self.tree.add(&node, &spot, id, Some(name));
            let branch = self.tree.branch(self.tree.current());
            self.drawn.push(match spot {
                Spot::End(_) => format!("{uuid}:{branch}"),
                Spot::Fork { at: Some(at), .. } => {
                    let from = self.tree.known.iter().find(|(_, k)| k.event == Some(at)).unwrap().0;
                    format!("{uuid}:{branch}<{from}")
                }
                Spot::Fork { .. } => format!("{uuid}:{branch}<"),
            });
            self
        }

        fn prompt(&mut self, uuid: &str, parent: &str) -> &mut Self {
            self.node(uuid, parent, Role::Prompt, "", &[], &[])
        }

        fn says(&mut self, uuid: &str, parent: &str, message: &str) -> &mut Self {
            self.node(uuid, parent, Role::Assistant, message, &[], &[])
        }

        fn calls(&mut self, uuid: &str, parent: &str, message: &str, call: &str) -> &mut Self {
            self.node(uuid, parent, Role::Assistant, message, &[call], &[])
        }

        fn answers(&mut self, uuid: &str, parent: &str, call: &str) -> &mut Self {
            self.node(uuid, parent, Role::Result, "", &[], &[call])
        }

        fn other(&mut self, uuid: &str, parent: &str) -> &mut Self {
            self.node(uuid, parent, Role::Other, "", &[], &[])
        }

        fn drawn(&self) -> String {
            self.drawn.join(" ")
        }
    }

    #[test]
    fn two_prompts_under_one_parent_are_two_branches() {
        let mut p = Play::new();
        p.prompt("a", "")
            .says("b", "a", "m1")
            .prompt("c", "b")
            .says("d", "c", "m2")
            .prompt("e", "b")
            .says("f", "e", "m3");
        p.prompt("g", "d");
        assert_eq!(p.drawn(), "a:main b:main c:main d:main e:side-e<b f:side-e g:main");
    }

    #[test]
    fn a_second_try_of_an_answer_is_a_branch() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1").says("c", "a", "m2").says("d", "c", "m2").prompt("e", "b");
        assert_eq!(p.drawn(), "a:main b:main c:side-c<a d:side-c e:main");
    }

    #[test]
    fn parallel_calls_and_their_results_are_one_line() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1").calls("c", "b", "m1", "t1").calls("d", "c", "m1", "t2");
        p.answers("e", "c", "t1").answers("f", "d", "t2").says("g", "f", "m2").prompt("h", "g");
        assert!(!p.drawn().contains("side"), "{}", p.drawn());
        // The result of the first call may come before the second call does.
        let mut p = Play::new();
        p.prompt("a", "").calls("b", "a", "m1", "t1").answers("c", "b", "t1").calls("d", "b", "m1", "t2");
        p.answers("e", "d", "t2").says("f", "c", "m2").answers("late", "x", "t9").says("g", "f", "m3");
        assert!(!p.drawn().contains("side"), "{}", p.drawn());
    }

    #[test]
    fn a_late_result_joins_its_line_and_a_second_one_is_another_turn() {
        let mut p = Play::new();
        p.prompt("a", "").calls("b", "a", "m1", "t1").calls("c", "b", "m1", "t2").answers("d", "b", "t1");
        p.says("e", "d", "m2").answers("f", "c", "t2").answers("g", "c", "t2").says("h", "g", "m3");
        assert_eq!(p.drawn(), "a:main b:main c:main d:main e:main f:main g:side-g<c h:side-g");
    }

    #[test]
    fn notices_beside_a_turn_are_no_branch_but_a_turn_under_them_is() {
        let mut p = Play::new();
        p.prompt("a", "")
            .says("b", "a", "m1")
            .other("n", "b")
            .prompt("c", "b")
            .other("o", "b")
            .prompt("d", "o");
        assert_eq!(p.drawn(), "a:main b:main n:main c:main o:main d:side-d<b");
    }

    #[test]
    fn a_parent_that_is_in_no_file_is_no_beginning() {
        let mut p = Play::new();
        p.prompt("a", "gone")
            .says("b", "a", "m1")
            .says("c", "lost", "m2")
            .prompt("d", "lost2")
            .says("e", "d", "m3");
        assert_eq!(p.drawn(), "a:main b:main c:main d:main e:main");
        // On a branch it continues the branch.
        p.prompt("f", "a").prompt("g", "lost3").says("h", "g", "m4").prompt("i", "e").prompt("j", "self");
        assert!(p.drawn().ends_with("f:side-f<a g:side-f h:side-f i:main j:main"), "{}", p.drawn());
    }

    #[test]
    fn parents_that_go_in_a_circle_are_one_line() {
        let mut p = Play::new();
        p.prompt("a", "c").says("b", "a", "m1").prompt("c", "b").prompt("d", "d").says("e", "d", "m2");
        assert_eq!(p.drawn(), "a:main b:main c:main d:main e:main");
    }

    #[test]
    fn a_second_beginning_needs_an_earlier_prompt() {
        let mut p = Play::new();
        p.other("n", "").says("a", "", "m1").node("s", "", Role::Summary, "", &[], &[]);
        p.prompt("b", "").says("c", "b", "m2").prompt("d", "").says("e", "d", "m3");
        assert_eq!(p.drawn(), "n:main a:main s:main b:main c:main d:side-d< e:side-d");
        assert_eq!(p.tree.live().as_str(), "side-d");
    }

    #[test]
    fn records_without_an_id_before_the_first_prompt_are_its_lines_beginning() {
        let mut p = Play::new();
        p.tree.extend(0, EventId::new());
        p.tree.extend(0, EventId::new());
        p.prompt("a", "").says("b", "a", "m1");
        assert_eq!(p.drawn(), "a:main b:main");
    }

    #[test]
    fn what_follows_an_id_that_comes_again_follows_the_latest() {
        let mut p = Play::new();
        p.other("h", "").says("a", "h", "m1").other("h", "a").says("b", "h", "m2");
        p.other("h", "b").says("c", "h", "m3");
        assert_eq!(p.drawn(), "h:main a:main h:main b:main h:main c:main");
        let (first, latest) = (p.tree.first("h"), p.tree.event("h"));
        assert!(first.is_some() && first != latest);
        // Written again without anything new before it, a record stays on its branch.
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1").prompt("c", "b").prompt("d", "b").prompt("c", "b");
        assert_eq!(p.drawn(), "a:main b:main c:main d:side-d<b c:main");
    }

    #[test]
    fn a_turn_under_a_notice_beside_a_shared_record_leaves_where_that_stands() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1").prompt("c", "b").prompt("d", "b").other("n", "b");
        p.prompt("e", "n");
        assert_eq!(p.drawn(), "a:main b:main c:main d:side-d<b n:side-d e:side-e<b");
    }

    #[test]
    fn a_notice_beside_a_shared_record_goes_where_the_conversation_is() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1").prompt("c", "b").prompt("d", "b").other("n", "b");
        p.says("e", "d", "m2").other("o", "c");
        assert_eq!(p.drawn(), "a:main b:main c:main d:side-d<b n:side-d e:side-d o:main");
        assert_eq!(p.tree.live().as_str(), "side-d");
    }

    #[test]
    fn what_follows_a_broken_record_goes_on_where_it_stood() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1");
        p.tree.broke();
        p.prompt("d", "broken").says("e", "d", "m2").prompt("f", "unknown");
        assert_eq!(p.drawn(), "a:main b:main d:main e:main f:main");
    }

    #[test]
    fn a_record_that_was_refused_is_stepped_over() {
        let mut p = Play::new();
        p.prompt("a", "").says("b", "a", "m1");
        let node = Node {
            uuid: "x",
            parent: Some("b"),
            role: Role::Prompt,
            message: None,
            calls: &[],
            answers: &[],
        };
        let spot = p.tree.place(&node);
        p.tree.lose(&node, &spot);
        p.says("c", "x", "m2").prompt("d", "c");
        assert_eq!(p.drawn(), "a:main b:main c:main d:main");
        assert_eq!(p.tree.event("x"), None);
    }

    #[test]
    fn a_name_that_is_taken_gets_more_digits() {
        let mut tree = Tree::default();
        let id = EventId::new();
        let uuid = |end: &str| format!("01234567-89ab-cdef-0000-0000000000{end}");
        let mut names = Vec::new();
        for end in ["01", "02", "03", "03"] {
            let name = tree.name(&uuid(end), id).unwrap();
            names.push(name.to_string());
            tree.names.insert(name.clone());
            tree.lines.push(Line { branch: name, from: None, length: 0, turn: 0, message: None, last: None });
        }
        assert_eq!(
            names,
            ["main", "side-01234567", "side-0123456789ab", "side-0123456789abcdef0000000000000003"]
        );
    }
}
