//! Which branch a record goes to, in formats that say what each record follows, or where the history goes back to.
//!
//! A record goes to the end of the branch of the record before it. When it follows an earlier one instead, it begins a
//! branch that forks there. Which branch is `main` is decided when the whole file has been read: the one that was
//! written last.

use std::collections::{HashMap, HashSet};

use crate::event::{BranchName, EventId, Place, SessionId};

use super::builder::{Added, Builder, Draft};
use super::live::names_of;
use super::piece::Piece;

/// The branches of one session as far as the file has been read.
#[derive(Debug)]
pub(crate) struct History {
    session: SessionId,
    lines: Vec<Line>,
    names: HashSet<BranchName>,
    /// The branch of each event.
    lines_of: HashMap<EventId, usize>,
    next: Next,
    /// Whether it goes on from events that are not in the file.
    is_part: bool,
    /// The name of the branch that the next record begins.
    name: Option<BranchName>,
    /// The branch that becomes `main`, if it is not the one that was written last.
    kept: Option<usize>,
}

#[derive(Debug)]
struct Line {
    branch: BranchName,
    last: Option<EventId>,
}

/// Where the next record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// To the end of this branch.
    End(usize),
    /// To a new branch after this event of that branch, or after nothing. A branch that there is not is `main`.
    Fork(usize, Option<EventId>),
}

impl History {
    pub(crate) fn new(session: SessionId) -> Self {
        let (lines, names, lines_of) = (Vec::new(), HashSet::new(), HashMap::new());
        let (is_part, name, kept) = (false, None, None);
        Self { session, lines, names, lines_of, next: Next::End(0), is_part, name, kept }
    }

    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn has(&self, event: EventId) -> bool {
        self.lines_of.contains_key(&event)
    }

    /// The event that the next record follows.
    pub(crate) fn last(&self) -> Option<EventId> {
        match self.next {
            Next::End(line) => self.lines.get(line).and_then(|l| l.last),
            Next::Fork(_, at) => at,
        }
    }

    /// The next record follows this event, or nothing. An event that is not in the history changes nothing.
    pub(crate) fn go_back(&mut self, to: Option<EventId>) {
        self.next = match to.map(|id| (id, self.lines_of.get(&id).copied())) {
            None if self.lines.is_empty() => Next::End(0),
            None => Next::Fork(0, None),
            Some((_, None)) => return,
            Some((id, Some(line))) if self.lines.get(line).is_some_and(|l| l.last == Some(id)) => {
                Next::End(line)
            }
            Some((id, Some(line))) => Next::Fork(line, Some(id)),
        };
    }

    /// The next record follows this event, which is in another file, or nothing. Whether it is the end of its branch, and
    /// the branch goes on, is known to the store.
    pub(crate) fn continue_from(&mut self, event: Option<EventId>) {
        self.is_part = true;
        self.next = Next::Fork(self.lines.len(), event);
    }

    /// The next record begins a branch of this name after this event, or where its own parent is. What was written
    /// last before it stays what people mean by the session.
    pub(crate) fn begin(&mut self, name: BranchName, after: Option<EventId>) {
        let (Next::End(line) | Next::Fork(line, _)) = self.next;
        self.kept.get_or_insert(line);
        self.go_back(after);
        self.name = Some(name);
    }

    /// The branch of an event.
    pub(crate) fn place(&self, event: EventId) -> Option<Place> {
        let line = self.lines_of.get(&event)?;
        Some(Place::new(self.session.clone(), self.branch(*line)))
    }

    /// Adds an event where it goes.
    pub(crate) fn push(&mut self, plan: &mut Builder<'_>, piece: &Piece, mut draft: Draft) -> Added {
        let place = |branch: &BranchName| Place::new(self.session.clone(), branch.clone());
        let name = self.name.clone().filter(|name| !self.names.contains(name));
        let (line, branch) = match (self.next, name) {
            (Next::End(line), None) => (line, self.branch(line)),
            (next, name) => {
                let (from, at) = match next {
                    Next::End(line) => (line, self.last()),
                    Next::Fork(line, at) => (line, at),
                };
                draft.fork = Some((place(&self.branch(from)), at));
                let mut names = name.into_iter().chain(names_of(&draft.event));
                let name = names.find(|name| !self.names.contains(name));
                (self.lines.len(), name.unwrap_or_else(BranchName::main))
            }
        };
        let added = plan.push(piece, piece.ordinal as u64, &place(&branch), draft);
        if let Added::New(id) | Added::Variant(id) = added {
            if line == self.lines.len() {
                self.names.insert(branch.clone());
                self.lines.push(Line { branch, last: None });
            }
            if let Some(line) = self.lines.get_mut(line) {
                line.last = Some(id);
            }
            self.lines_of.insert(id, line);
            self.next = Next::End(line);
            self.name = None;
        }
        added
    }

    /// Tells the plan which branch was written last.
    pub(crate) fn finish(&self, plan: &mut Builder<'_>) {
        let Some((session, branch)) = self.written_last() else { return };
        match self.is_part {
            true => plan.part(session, branch),
            false => plan.live(session, branch),
        }
    }

    /// The same for a file whose history, up to where its own branches begin, is a copy.
    pub(crate) fn finish_copy(&self, plan: &mut Builder<'_>) {
        if let Some((session, branch)) = self.written_last() {
            plan.copied(session, branch);
        }
    }

    fn written_last(&self) -> Option<(SessionId, BranchName)> {
        let (Next::End(line) | Next::Fork(line, _)) = self.next;
        let is_empty = self.lines.is_empty();
        (!is_empty).then(|| (self.session.clone(), self.branch(self.kept.unwrap_or(line))))
    }

    fn branch(&self, line: usize) -> BranchName {
        self.lines.get(line).map_or_else(BranchName::main, |l| l.branch.clone())
    }
}
