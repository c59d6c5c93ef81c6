//! Builds the plan of a file from its records.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::ops::Range;

use crate::event::{BranchName, EventId, MAIN, NewEvent, Place, SessionId, Timestamp};
use crate::limits::MAX_METADATA_BYTES;

use super::content::Content;
use super::entries::{Entries, Entry, Item};
use super::format::Format;
use super::ids;
use super::index::Index;
use super::layout::{Layout, LayoutDraft};
use super::live::make_main;
use super::options::Options;
use super::piece::Piece;
use super::plan::{Origins, Plan, Skipped};
use super::sketch::Sketch;
use super::source::{Before, Body, Gap, Origin, note_time};
use super::spool::{Planned, Spool};

/// An event that a format made from a record.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) event: NewEvent,
    /// When it happened, if the record has a time.
    pub(crate) time: Option<Timestamp>,
    pub(crate) body: Body,
    /// Its number in its branch, if the record has one.
    pub(crate) sequence: Option<u64>,
    /// Where its branch forks from another, if the event begins a branch.
    pub(crate) fork: Option<(Place, Option<EventId>)>,
}

impl Draft {
    pub(crate) fn new(event: NewEvent, time: Option<Timestamp>, body: Body) -> Self {
        Self { event, time, body, sequence: None, fork: None }
    }
}

/// What happened to a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New(EventId),
    /// Its id was taken by other content, so it got another one.
    Variant(EventId),
    Duplicate,
    Refused,
}

/// Builds a plan from the records of a file, in the order of the file.
pub(crate) struct Builder<'a> {
    format: Format,
    file: &'a str,
    content: &'a Content,
    max_payload: usize,
    entries: Entries,
    spool: Spool,
    /// The entries by id.
    seen: Index,
    records: usize,
    duplicates: usize,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
    /// Where the first record begins.
    head: usize,
    /// Whether what comes before the first record goes on.
    is_head: bool,
    /// Where the previous record ends.
    end: usize,
    gap: Gap,
    layout: LayoutDraft,
    /// The last event in the order of the file, on which the text after the records is noted.
    last: Option<usize>,
    /// The time of events that have none.
    now: Timestamp,
    timeless: usize,
    branches: HashSet<Place>,
    current: BTreeMap<SessionId, BranchName>,
    /// Whether the file goes on from what other files have.
    is_part: bool,
    /// Sessions whose current branch becomes `main`.
    unnamed: BTreeSet<SessionId>,
    /// Sessions whose current branch the file does not choose.
    copies: BTreeSet<SessionId>,
    /// The sessions whose files it is a fork of.
    parents: BTreeSet<String>,
    /// The entries by session and number, the first with each, for branches that the file does not explain.
    sequences: Index,
}

impl<'a> Builder<'a> {
    /// `notes`: what is worth knowing about how the file was cut into records.
    pub(super) fn new(
        (format, file): (Format, &'a str),
        content: &'a Content,
        notes: Vec<String>,
        options: &Options,
    ) -> Self {
        let Options { max_payload, now, .. } = *options;
        let may_spill = content.is_on_disk();
        Self {
            format,
            file,
            content,
            max_payload,
            entries: Entries::new(may_spill),
            spool: Spool::new(may_spill),
            seen: Index::default(),
            records: 0,
            duplicates: 0,
            skipped: Vec::new(),
            notes,
            head: 0,
            is_head: false,
            end: 0,
            gap: Gap::default(),
            layout: LayoutDraft::new(may_spill),
            last: None,
            now,
            timeless: 0,
            branches: HashSet::new(),
            current: BTreeMap::new(),
            is_part: false,
            unnamed: BTreeSet::new(),
            copies: BTreeSet::new(),
            parents: BTreeSet::new(),
            sequences: Index::default(),
        }
    }

    /// Skips a record that cannot be read, or that its format has no use for.
    pub(crate) fn skip(&mut self, piece: &Piece, reason: impl Into<String>) {
        let _ = self.arrive(piece);
        self.refuse(piece, reason.into());
    }

    /// Passes over a record that says where a branch begins and is not an event itself.
    pub(crate) fn pass(&mut self, piece: &Piece) {
        let _ = self.arrive(piece);
        self.records -= 1;
        self.loose(piece.range.clone());
    }

    /// The same for a record of a format whose files are given back from the events.
    pub(crate) fn pass_between(&mut self, piece: &Piece) {
        let gap = self.arrive(piece);
        self.records -= 1;
        self.loose(piece.range.clone());
        self.gap.text(gap);
        self.gap.text(piece.range.clone());
        self.is_head = self.last.is_none();
    }

    /// Notes that the file is a fork of the file of this session.
    pub(crate) fn parent(&mut self, session: &str) {
        self.parents.insert(session.to_owned());
    }

    pub(crate) fn fork(&mut self, order: u64, place: &Place, parent: &Place, at: Option<EventId>) {
        if place.branch.as_str() == MAIN || !self.branches.insert(place.clone()) {
            return;
        }
        let item = Item::Fork { parent: self.entries.number(parent), at };
        let place = self.entries.number(place);
        self.add(Entry { order, ordinal: 0, sequence: None, place, item });
    }

    /// Notes that this branch of the session was written last.
    pub(crate) fn current(&mut self, session: SessionId, branch: BranchName) {
        self.current.insert(session, branch);
    }

    /// The same in a file that goes on from what other files have: which branch is `main` was decided with the first of
    /// them.
    pub(crate) fn part(&mut self, session: SessionId, branch: BranchName) {
        self.is_part = true;
        self.current(session, branch);
    }

    /// The same as [`Builder::live`] in a copy, which is not what people mean by the session.
    pub(crate) fn copied(&mut self, session: SessionId, branch: BranchName) {
        self.copies.insert(session.clone());
        self.live(session, branch);
    }

    /// The same when the file does not name its branches: this one becomes `main`, and what it left behind become
    /// branches of it.
    pub(crate) fn live(&mut self, session: SessionId, branch: BranchName) {
        self.unnamed.insert(session.clone());
        self.current(session, branch);
    }

    /// Adds an event. Events of lower `order` come first, whatever their order in the file.
    pub(crate) fn push(&mut self, piece: &Piece, order: u64, place: &Place, draft: Draft) -> Added {
        let gap = self.arrive(piece);
        let Draft { mut event, time, body, sequence, fork } = draft;
        if matches!(body, Body::Record) {
            // Checked before the payload is set: the record was just parsed as JSON and need not be parsed again.
            if let Err(e) = event.check() {
                return self.refuse(piece, e.to_string());
            }
            event = event.json_text(self.content.bytes(piece.range.clone()));
        } else if let Err(e) = event.check() {
            return self.refuse(piece, e.to_string());
        }
        let size = event.payload.len();
        if size > self.max_payload {
            return self.refuse(piece, format!("has {size} bytes; the limit is {}", self.max_payload));
        }
        let added = match self.repeated(&event) {
            None => Added::New(event.id),
            Some((ordinal, true)) => return self.repeat(piece, gap, event.id, ordinal, &body),
            Some((_, false)) => {
                event.id = ids::variant(event.id, &event.payload);
                match self.repeated(&event) {
                    Some((ordinal, _)) => return self.repeat(piece, gap, event.id, ordinal, &body),
                    None => Added::Variant(event.id),
                }
            }
        };
        let is_record = matches!(body, Body::Record);
        let is_kept = match body {
            Body::Own => false,
            body => {
                if time.is_none() {
                    note_time(&mut event);
                }
                let origin = Origin { format: self.format, file: self.file, record: piece.ordinal, body };
                self.gap.text(gap);
                let gap = std::mem::take(&mut self.gap);
                let before = match self.last {
                    // Too long for metadata; the layout has all of it.
                    None if self.head > MAX_METADATA_BYTES => Before::Gap(None),
                    None => Before::Head(self.content.bytes(0..self.head)),
                    Some(_) => Before::Gap(gap.noted(self.content)),
                };
                origin.note(&mut event, before) || is_record
            }
        };
        match is_kept {
            true => self.kept(event.id, piece.range.clone()),
            false => self.loose(piece.range.clone()),
        }
        self.begin(order, place, sequence, fork);
        event.occurred = time.unwrap_or(self.now);
        self.timeless += usize::from(time.is_none());
        let id = event.id;
        let Some(planned) = self.plan(event, is_record.then(|| piece.range.clone())) else { return added };
        let number = self.entries.number(place);
        let item = Item::Event(planned);
        let Some(index) = self.add(Entry { order, ordinal: piece.ordinal, sequence, place: number, item })
        else {
            return added;
        };
        self.last = Some(index);
        let mut is_counted = self.seen.insert(id, index);
        if let Some(n) = sequence
            && self.numbered(&place.session, n).is_none()
        {
            is_counted &= self.sequences.insert((&place.session, n), index);
        }
        if !is_counted {
            self.content.fail(io::Error::other("has too many records"));
        }
        added
    }

    fn add(&mut self, entry: Entry) -> Option<usize> {
        self.entries.push(entry).map_err(|e| self.content.fail(e)).ok()
    }

    /// Notes bytes that belong to no event.
    fn loose(&mut self, range: Range<usize>) {
        self.layout.bytes(range).unwrap_or_else(|e| self.content.fail(e));
    }

    /// Notes the record of an event.
    fn kept(&mut self, id: EventId, range: Range<usize>) {
        self.layout.event(id, range).unwrap_or_else(|e| self.content.fail(e));
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        self.entries.get(index).unwrap_or_else(|e| {
            self.content.fail(e);
            None
        })
    }

    /// The branch and the id of the first event of a session with this number.
    fn numbered(&self, session: &SessionId, n: u64) -> Option<(BranchName, EventId)> {
        self.sequences.find((session, n), |index| {
            let entry = self.entry(index).filter(|entry| entry.sequence == Some(n))?;
            let place = self.entries.place(entry.place).ok().filter(|place| place.session == *session)?;
            let Item::Event(planned) = entry.item else { return None };
            Some((place.branch.clone(), planned.id()))
        })
    }

    /// The record with this event's id, and whether its payload is the same.
    fn repeated(&self, event: &NewEvent) -> Option<(usize, bool)> {
        let (ordinal, planned) = self.seen.find(event.id, |index| {
            let entry = self.entry(index)?;
            let Item::Event(planned) = entry.item else { return None };
            (planned.id() == event.id).then_some((entry.ordinal, planned))
        })?;
        Some((ordinal, self.event(&planned).payload == event.payload))
    }

    /// Stores an event. `payload` is where the file has its payload, if it does.
    fn plan(&mut self, event: NewEvent, payload: Option<Range<usize>>) -> Option<Planned> {
        self.spool.put(event, payload).map_err(|e| self.content.fail(e)).ok()
    }

    fn event(&self, planned: &Planned) -> NewEvent {
        let loaded = self.spool.event(planned, &|range| self.content.bytes(range));
        loaded.unwrap_or_else(|e| {
            self.content.fail(e);
            NewEvent::new("unknown").with_id(planned.id())
        })
    }

    /// Takes what follows the last record, and returns the plan.
    pub(crate) fn finish(mut self) -> Sketch {
        let tail = self.end..self.content.len();
        self.loose(tail.clone());
        self.gap.text(tail);
        self.note_tail();
        self.entries.sort().unwrap_or_else(|e| self.content.fail(e));
        let mut current = std::mem::take(&mut self.current);
        let mut live = BTreeMap::new();
        for session in &self.unnamed {
            if let Some(branch) = current.get_mut(session) {
                live.insert(session.clone(), std::mem::replace(branch, BranchName::main()));
            }
        }
        let entries = std::mem::take(&mut self.entries);
        match make_main(entries, &live, &|planned| self.event(planned)) {
            Ok(entries) => self.entries = entries,
            Err(e) => self.content.fail(e),
        }
        current.retain(|session, _| !self.copies.contains(session));
        self.spool.seal().unwrap_or_else(|e| self.content.fail(e));
        let layout = self.layout.finish().unwrap_or_else(|e| {
            self.content.fail(e);
            Layout::default()
        });
        let plan = Plan {
            format: self.format,
            steps: Vec::new(),
            current,
            records: self.records,
            duplicates: self.duplicates,
            skipped: self.skipped,
            notes: self.notes,
            timeless: self.timeless,
            origin: Origins { layout, is_part: self.is_part, parents: self.parents, ..Origins::default() },
        };
        Sketch { plan, entries: self.entries, spool: self.spool }
    }

    /// Notes what follows the last record on the last event.
    fn note_tail(&mut self) {
        let Some((index, entry)) = self.last.and_then(|index| Some((index, self.entry(index)?))) else {
            return;
        };
        let Item::Event(planned) = &entry.item else { return };
        let payload = self.spool.payload(planned).unwrap_or_else(|e| {
            self.content.fail(e);
            None
        });
        let mut event = self.event(planned);
        self.gap.note_tail(&mut event, self.content);
        let Some(planned) = self.plan(event, payload) else { return };
        let entry = Entry { item: Item::Event(planned), ..entry };
        self.entries.set(index, entry).unwrap_or_else(|e| self.content.fail(e));
    }

    /// Makes sure that the branch exists. One that the file does not explain forks from the first branch of the
    /// session that has the event right before its own first one; if there is none, it begins empty.
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
        let before = sequence.and_then(|n| self.numbered(&place.session, n.checked_sub(1)?));
        let (parent, at) = fork.unwrap_or_else(|| match before {
            Some((branch, id)) => (Place::new(place.session.clone(), branch), Some(id)),
            None => (at_main(), None),
        });
        self.fork(order, place, &parent, at);
    }

    /// Counts a record, and returns what lies before it.
    fn arrive(&mut self, piece: &Piece) -> Range<usize> {
        debug_assert!(self.end <= piece.range.start, "the file is put together in its own order");
        self.records += 1;
        let gap = self.end..piece.range.start;
        self.loose(gap.clone());
        self.end = piece.range.end;
        if piece.ordinal == 1 || std::mem::take(&mut self.is_head) {
            self.head = gap.end;
            return gap.end..gap.end;
        }
        gap
    }

    fn refuse(&mut self, piece: &Piece, reason: String) -> Added {
        self.loose(piece.range.clone());
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
            Body::Record => self.kept(id, piece.range.clone()),
            // The payload is the same, but what surrounds it need not be.
            Body::Part { .. } | Body::Own => self.loose(piece.range.clone()),
        }
        self.duplicates += 1;
        self.gap.text(gap);
        self.gap.again(ordinal);
        Added::Duplicate
    }
}
