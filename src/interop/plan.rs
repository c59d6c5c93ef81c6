//! What an import would append: decided from the file alone, before any store is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId, Timestamp};

use super::Format;
use super::ids;
use super::live::{Entry, Item, make_main};
use super::pieces::Piece;
use super::source::{Gap, Origin, note_time};

/// What a file holds, as steps for a store.
///
/// The steps stand in the order of the file, and every branch but `main` is forked before it is written to. Whoever
/// carries them out looks each event's id up first: an id that is recorded with the same payload is a duplicate; with
/// another payload the event goes in under [`variant`](super::variant) of the two. The ids of a file that has grown
/// begin with those it had before; its branches may have other names, so an event goes to the branch where the store
/// has those before it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The format that was read.
    pub format: Format,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// The branch of each session that was written last, for formats that tell: what a person calls the session.
    pub current: BTreeMap<SessionId, BranchName>,
    /// Records in the file, the broken and the repeated ones too.
    pub records: usize,
    /// Records that repeat an earlier one of this file byte for byte.
    pub duplicates: usize,
    /// Records that were left out, and why.
    pub skipped: Vec<Skipped>,
    /// What was kept, but not such that `export --to source` can give the whole file back.
    pub notes: Vec<String>,
    /// Events that say no time: they have the time at which the file was read, and their metadata says so.
    pub timeless: usize,
}

impl Plan {
    /// Events in all steps.
    #[must_use]
    pub fn events(&self) -> usize {
        self.steps.iter().map(|s| if let Step::Append { events, .. } = s { events.len() } else { 0 }).sum()
    }

    /// Every branch that the steps write to.
    #[must_use]
    pub fn places(&self) -> BTreeSet<&Place> {
        let place = |s| match s {
            &Step::Fork { ref place, .. } | &Step::Append { ref place, .. } => place,
        };
        self.steps.iter().map(place).collect()
    }
}

/// One step of a [`Plan`].
#[derive(Clone, Debug)]
pub enum Step {
    /// A new branch.
    Fork {
        /// The branch.
        place: Place,
        /// The branch that it leaves.
        parent: Place,
        /// The last event that it inherits; with none it begins empty.
        at: Option<EventId>,
    },
    /// Events for the end of a branch.
    Append {
        /// The branch.
        place: Place,
        /// The events, oldest first.
        events: Vec<NewEvent>,
    },
}

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The line of the file that it begins on, from 1.
    pub line: usize,
    /// What is wrong with it, as a clause: "is not JSON".
    pub reason: String,
}

/// An event that a format made of a record.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) event: NewEvent,
    /// When it happened, if the record says.
    pub(crate) time: Option<Timestamp>,
    pub(crate) body: Body,
    /// Its number in its branch, if the record says.
    pub(crate) sequence: Option<u64>,
    /// Where its branch leaves another, if the event begins a branch.
    pub(crate) fork: Option<(Place, Option<EventId>)>,
}

impl Draft {
    pub(crate) fn new(event: NewEvent, time: Option<Timestamp>, body: Body) -> Self {
        Self { event, time, body, sequence: None, fork: None }
    }
}

/// How the record lies in the event.
#[derive(Debug)]
pub(crate) enum Body {
    /// The payload is the record.
    Record,
    /// The payload is a part of the record; these are the bytes before and after it.
    Part { open: String, close: String, data: &'static str },
    /// The event is its own source: nothing of the file is noted on it.
    Own,
}

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New(EventId),
    /// Its id was taken by other content, so it has another.
    Variant(EventId),
    Duplicate,
    Refused,
}

struct Seen {
    payload: Bytes,
    ordinal: usize,
}

/// Takes the records of a file one by one, in the order of the file.
pub(crate) struct Builder<'a> {
    format: Format,
    file: &'a str,
    bytes: &'a Bytes,
    max_payload: usize,
    entries: Vec<Entry>,
    seen: HashMap<EventId, Seen>,
    records: usize,
    duplicates: usize,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
    head: &'a str,
    gap: Gap<'a>,
    /// The last event in the order of the file: what follows the records is noted on it.
    last: Option<usize>,
    /// What events have that say no time.
    now: Timestamp,
    timeless: usize,
    branches: HashSet<Place>,
    current: BTreeMap<SessionId, BranchName>,
    /// Whether the current branch of a session is to be its `main`.
    unnamed: BTreeSet<SessionId>,
    /// The first event with each number, for branches that the file does not explain.
    sequences: HashMap<(SessionId, u64), (BranchName, EventId)>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        format: Format,
        file: &'a str,
        bytes: &'a Bytes,
        max_payload: usize,
        now: Timestamp,
    ) -> Self {
        Self {
            format,
            file,
            bytes,
            max_payload,
            entries: Vec::new(),
            seen: HashMap::new(),
            records: 0,
            duplicates: 0,
            skipped: Vec::new(),
            notes: Vec::new(),
            head: "",
            gap: Gap::default(),
            last: None,
            now,
            timeless: 0,
            branches: HashSet::new(),
            current: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            sequences: HashMap::new(),
        }
    }

    /// A record that cannot be read, or that its format has no use for.
    pub(crate) fn skip(&mut self, piece: &Piece<'a>, reason: impl Into<String>) {
        let _ = self.arrive(piece);
        self.refuse(piece, reason.into());
    }

    /// A record that says where a branch begins and is no event itself.
    pub(crate) fn pass(&mut self, piece: &Piece<'a>) {
        let _ = self.arrive(piece);
    }

    /// A new branch.
    pub(crate) fn fork(&mut self, order: u64, place: &Place, parent: &Place, at: Option<EventId>) {
        if place.branch.as_str() == MAIN || !self.branches.insert(place.clone()) {
            return;
        }
        let item = Item::Fork { parent: parent.clone(), at };
        self.entries.push(Entry { order, place: place.clone(), item });
    }

    /// This branch of the session was written last.
    pub(crate) fn current(&mut self, session: SessionId, branch: BranchName) {
        self.current.insert(session, branch);
    }

    /// This branch of the session was written last, and the names of its branches are not the file's own: it is to be
    /// `main`, and what it left behind are branches of it.
    pub(crate) fn live(&mut self, session: SessionId, branch: BranchName) {
        self.unnamed.insert(session.clone());
        self.current(session, branch);
    }

    /// An event. Those of lower `order` come first, whatever the file's order.
    pub(crate) fn push(&mut self, piece: &Piece<'a>, order: u64, place: &Place, draft: Draft) -> Added {
        let gap = self.arrive(piece);
        let Draft { mut event, time, body, sequence, fork } = draft;
        if matches!(body, Body::Record) {
            // Checked before the payload is set: the record was just read as JSON, and need not be again.
            if let Err(e) = event.check() {
                return self.refuse(piece, e.to_string());
            }
            event = event.json_text(self.bytes.slice(piece.range.clone()));
        } else if let Err(e) = event.check() {
            return self.refuse(piece, e.to_string());
        }
        let size = event.payload.len();
        if size > self.max_payload {
            return self.refuse(piece, format!("has {size} bytes; {} are the most here", self.max_payload));
        }
        let added = match self.seen.get(&event.id) {
            None => Added::New(event.id),
            Some(seen) if seen.payload == event.payload => return self.repeat(gap, seen.ordinal),
            Some(_) => {
                event.id = ids::variant(event.id, &event.payload);
                match self.seen.get(&event.id) {
                    Some(seen) => return self.repeat(gap, seen.ordinal),
                    None => Added::Variant(event.id),
                }
            }
        };
        self.seen.insert(event.id, Seen { payload: event.payload.clone(), ordinal: piece.ordinal });
        if !matches!(body, Body::Own) {
            if time.is_none() {
                note_time(&mut event);
            }
            let origin = Origin { format: self.format, file: self.file, record: piece.ordinal, body };
            self.gap.extend(gap);
            let gap = std::mem::take(&mut self.gap);
            let fits = match self.last {
                None => origin.note_first(&mut event, self.head),
                Some(_) => origin.note(&mut event, &gap),
            };
            if let Err(lost) = fits {
                self.notes.push(format!("line {}: {lost}", piece.line));
            }
        }
        self.begin(order, place, sequence, fork);
        if let Some(sequence) = sequence {
            let known = self.sequences.entry((place.session.clone(), sequence));
            known.or_insert_with(|| (place.branch.clone(), event.id));
        }
        let index = self.entries.len();
        event.occurred = time.unwrap_or(self.now);
        self.timeless += usize::from(time.is_none());
        self.last = Some(index);
        self.entries.push(Entry { order, place: place.clone(), item: Item::Event(event) });
        added
    }

    /// What follows the last record, and the whole as a plan.
    pub(crate) fn finish(mut self, tail: &'a str) -> Plan {
        self.gap.text(tail);
        let last = self.last.and_then(|i| self.entries.get_mut(i)).map(|e| &mut e.item);
        if let Some(Item::Event(event)) = last
            && let Err(lost) = self.gap.note_tail(event)
        {
            self.notes.push(lost);
        }
        // Stable, so that a fork stays before its first event.
        self.entries.sort_by_key(|e| e.order);
        for session in &self.unnamed {
            if let Some(live) = self.current.get_mut(session) {
                let live = std::mem::replace(live, BranchName::main());
                self.entries = make_main(self.entries, session, &live);
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for entry in self.entries {
            match (entry.item, steps.last_mut()) {
                (Item::Event(event), Some(Step::Append { place, events })) if *place == entry.place => {
                    events.push(event);
                }
                (Item::Event(event), _) => {
                    steps.push(Step::Append { place: entry.place, events: vec![event] })
                }
                (Item::Fork { parent, at }, _) => steps.push(Step::Fork { place: entry.place, parent, at }),
            }
        }
        Plan {
            format: self.format,
            steps,
            current: self.current,
            records: self.records,
            duplicates: self.duplicates,
            skipped: self.skipped,
            notes: self.notes,
            timeless: self.timeless,
        }
    }

    /// Makes sure that there is a branch to append to. One of which the file says nothing leaves the first branch of
    /// the session that has an event right before its own first one; or it begins empty.
    fn begin(
        &mut self,
        order: u64,
        place: &Place,
        sequence: Option<u64>,
        fork: Option<(Place, Option<EventId>)>,
    ) {
        if place.branch.as_str() == MAIN || self.branches.contains(place) {
            return;
        }
        let at_main = || Place::new(place.session.clone(), BranchName::main());
        let before = sequence.and_then(|n| Some((place.session.clone(), n.checked_sub(1)?)));
        let (parent, at) = fork.unwrap_or_else(|| match before.and_then(|key| self.sequences.get(&key)) {
            Some((branch, id)) => (Place::new(place.session.clone(), branch.clone()), Some(*id)),
            None => (at_main(), None),
        });
        self.fork(order, place, &parent, at);
    }

    /// Counts a record, and answers with what stands before it.
    fn arrive(&mut self, piece: &Piece<'a>) -> &'a str {
        self.records += 1;
        if self.records == 1 {
            self.head = piece.gap;
            return "";
        }
        piece.gap
    }

    fn refuse(&mut self, piece: &Piece<'a>, reason: String) -> Added {
        self.skipped.push(Skipped { line: piece.line, reason });
        Added::Refused
    }

    fn repeat(&mut self, gap: &'a str, ordinal: usize) -> Added {
        self.duplicates += 1;
        self.gap.text(gap);
        self.gap.again(ordinal);
        Added::Duplicate
    }
}
