//! What an import would append: decided from the file alone, before any store is asked.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId, Timestamp};

use super::Format;
use super::content::Content;
use super::ids;
use super::layout::Layout;
use super::pieces::Piece;
use super::source::{Before, Gap, Origin};

/// What a file holds, as steps for a store.
///
/// The steps stand in the order of the file, and every branch but `main` is forked before it is written to. Whoever carries them out looks each event's id up first: an id that is
/// recorded with the same payload is a duplicate; with another payload the event goes in under
/// [`variant`](super::variant) of the two. The ids of a file that has grown begin with those it had before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The format that was read.
    pub format: Format,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Records in the file, the broken and the repeated ones too.
    pub records: usize,
    /// Records that repeat an earlier one of this file byte for byte.
    pub duplicates: usize,
    /// Records that were left out, and why.
    pub skipped: Vec<Skipped>,
    /// What else is worth knowing of the file.
    pub notes: Vec<String>,
    pub(crate) origin: Origins,
}

/// What is needed to give the file back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// The file, as it was named.
    pub(crate) path: String,
    /// The session of records that name none.
    pub(crate) home: Option<SessionId>,
    /// The file or folder that this session belongs to.
    pub(crate) owner: Option<String>,
    pub(crate) layout: Layout,
    /// The file itself, where it is in memory.
    pub(crate) bytes: Option<Bytes>,
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
    /// The byte of the file that it begins with, from 1.
    pub byte: usize,
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

struct Entry {
    order: u64,
    place: Place,
    item: Item,
}

enum Item {
    Fork { parent: Place, at: Option<EventId> },
    Event(NewEvent),
}

struct Seen {
    payload: Bytes,
    ordinal: usize,
}

/// Takes the records of a file one by one, in the order of the file.
pub(crate) struct Builder<'a> {
    format: Format,
    file: &'a str,
    content: &'a Content,
    max_payload: usize,
    entries: Vec<Entry>,
    seen: HashMap<EventId, Seen>,
    records: usize,
    duplicates: usize,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
    /// Where the first record begins.
    head: usize,
    /// Where the record before ends.
    end: usize,
    gap: Gap,
    layout: Layout,
    /// The last event in the order of the file: what follows the records is noted on it.
    last: Option<usize>,
    time: Option<Timestamp>,
    timeless: Vec<usize>,
    branches: HashSet<Place>,
    /// The first event with each number, for branches that the file does not explain.
    sequences: HashMap<(SessionId, u64), (BranchName, EventId)>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        format: Format,
        file: &'a str,
        content: &'a Content,
        notes: &[String],
        max_payload: usize,
    ) -> Self {
        Self {
            format,
            file,
            content,
            max_payload,
            entries: Vec::new(),
            seen: HashMap::new(),
            records: 0,
            duplicates: 0,
            skipped: Vec::new(),
            notes: notes.to_vec(),
            head: 0,
            end: 0,
            gap: Gap::default(),
            layout: Layout::default(),
            last: None,
            time: None,
            timeless: Vec::new(),
            branches: HashSet::new(),
            sequences: HashMap::new(),
        }
    }

    /// A record that cannot be read, or that its format has no use for.
    pub(crate) fn skip(&mut self, piece: &Piece, reason: impl Into<String>) {
        let _ = self.arrive(piece);
        self.refuse(piece, reason.into());
    }

    /// A record that says where a branch begins and is no event itself.
    pub(crate) fn pass(&mut self, piece: &Piece) {
        let _ = self.arrive(piece);
        self.records -= 1;
        self.layout.bytes(piece.range.clone());
    }

    /// A new branch.
    pub(crate) fn fork(&mut self, order: u64, place: &Place, parent: &Place, at: Option<EventId>) {
        if place.branch.as_str() == MAIN || !self.branches.insert(place.clone()) {
            return;
        }
        let item = Item::Fork { parent: parent.clone(), at };
        self.entries.push(Entry { order, place: place.clone(), item });
    }

    /// An event. Those of lower `order` come first, whatever the file's order.
    pub(crate) fn push(&mut self, piece: &Piece, order: u64, place: &Place, draft: Draft) -> Added {
        let gap = self.arrive(piece);
        let Draft { mut event, time, body, sequence, fork } = draft;
        if matches!(body, Body::Record) {
            // Checked before the payload is set: the record was just read as JSON, and need not be again.
            if let Err(e) = event.check() {
                return self.refuse(piece, e.to_string());
            }
            event = event.json_text(self.content.bytes(piece.range.clone()));
        } else if let Err(e) = event.check() {
            return self.refuse(piece, e.to_string());
        }
        let size = event.payload.len();
        if size > self.max_payload {
            return self.refuse(piece, format!("has {size} bytes; {} are the most here", self.max_payload));
        }
        let added = match self.seen.get(&event.id) {
            None => Added::New(event.id),
            Some(seen) if seen.payload == event.payload => {
                let ordinal = seen.ordinal;
                return self.repeat(piece, gap, event.id, ordinal, &body);
            }
            Some(_) => {
                event.id = ids::variant(event.id, &event.payload);
                match self.seen.get(&event.id).map(|s| s.ordinal) {
                    Some(ordinal) => return self.repeat(piece, gap, event.id, ordinal, &body),
                    None => Added::Variant(event.id),
                }
            }
        };
        self.seen.insert(event.id, Seen { payload: event.payload.clone(), ordinal: piece.ordinal });
        let is_kept = match body {
            Body::Own => false,
            body => {
                let is_whole = matches!(body, Body::Record);
                let origin = Origin { format: self.format, file: self.file, record: piece.ordinal, body };
                self.gap.text(gap);
                let gap = std::mem::take(&mut self.gap);
                let before = match self.last {
                    None => Before::Head(self.content.bytes(0..self.head)),
                    Some(_) => Before::Gap(gap.noted(self.content)),
                };
                origin.note(&mut event, before) || is_whole
            }
        };
        match is_kept {
            true => self.layout.event(event.id, piece.range.clone()),
            false => self.layout.bytes(piece.range.clone()),
        }
        self.begin(order, place, sequence, fork);
        if let Some(sequence) = sequence {
            let known = self.sequences.entry((place.session.clone(), sequence));
            known.or_insert_with(|| (place.branch.clone(), event.id));
        }
        let index = self.entries.len();
        match time {
            Some(time) => {
                event.occurred = time;
                if self.time.is_none() {
                    self.backfill(time);
                }
                self.time = Some(time);
            }
            None => {
                event.occurred = self.time.unwrap_or_default();
                if self.time.is_none() {
                    self.timeless.push(index);
                }
            }
        }
        self.last = Some(index);
        self.entries.push(Entry { order, place: place.clone(), item: Item::Event(event) });
        added
    }

    /// What follows the last record, and the whole as a plan.
    pub(crate) fn finish(mut self) -> Plan {
        let tail = self.end..self.content.len();
        self.layout.bytes(tail.clone());
        self.gap.text(tail);
        let last = self.last.and_then(|i| self.entries.get_mut(i)).map(|e| &mut e.item);
        if let Some(Item::Event(event)) = last {
            self.gap.note_tail(event, self.content);
        }
        // Stable, so that a fork stays before its first event.
        self.entries.sort_by_key(|e| e.order);
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
            records: self.records,
            duplicates: self.duplicates,
            skipped: self.skipped,
            notes: self.notes,
            origin: Origins { layout: self.layout, ..Origins::default() },
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
    fn arrive(&mut self, piece: &Piece) -> Range<usize> {
        self.records += 1;
        let gap = self.end..piece.range.start;
        self.layout.bytes(gap.clone());
        self.end = piece.range.end;
        if piece.ordinal == 1 {
            self.head = gap.end;
            return gap.end..gap.end;
        }
        gap
    }

    fn refuse(&mut self, piece: &Piece, reason: String) -> Added {
        self.layout.bytes(piece.range.clone());
        self.skipped.push(Skipped { line: piece.line, byte: piece.range.start + 1, reason });
        Added::Refused
    }

    fn repeat(
        &mut self,
        piece: &Piece,
        gap: Range<usize>,
        id: EventId,
        ordinal: usize,
        body: &Body,
    ) -> Added {
        match body {
            Body::Record => self.layout.event(id, piece.range.clone()),
            // The payload is the same, and what is around it need not be.
            Body::Part { .. } | Body::Own => self.layout.bytes(piece.range.clone()),
        }
        self.duplicates += 1;
        self.gap.text(gap);
        self.gap.again(ordinal);
        Added::Duplicate
    }

    /// Records before the first time of a file have that time.
    fn backfill(&mut self, time: Timestamp) {
        for i in self.timeless.drain(..) {
            if let Some(Item::Event(event)) = self.entries.get_mut(i).map(|e| &mut e.item) {
                event.occurred = time;
            }
        }
    }
}
