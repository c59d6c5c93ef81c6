//! Reading one branch: flushed chunks and tail as one dense history.
//!
//! The tail is copied before the read transaction begins. What is flushed in between is then found in both, and taken
//! from the tail; the other way round it would be lost.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Chunk;
use crate::engine::branch::{Branch, Segment};
use crate::engine::file::contents::{Changed, Contents};
use crate::engine::file::in_memory::layer::TailEvent;
use crate::engine::file::in_memory::recent::Recent;
use crate::engine::file::in_memory::tail::Slice;
use crate::engine::file::redb_errors::guarded;
use crate::engine::file::tables::chunks::{flushed_event, hole, open_chunk};
use crate::engine::file::tables::db::Db;
use crate::engine::file::tables::ids::{Beside, locate_id};
use crate::engine::file::tables::lazy::Lazy;
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::sidecar_view::Keys;
use crate::engine::file::tables::view::LazyView;
use crate::engine::get::{End, Get, Got, Range};
use crate::engine::identity::Identity;
use crate::engine::pieces::event_of;
use crate::engine::port::EngineReader;
use crate::engine::process::Process;
use crate::engine::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::Result;
use crate::event::{Event, EventId, Place, Position};
use crate::limits::PAGE_BYTES;
use crate::sync::fault;

/// Where is looked for what may have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    InMemory,
    Everywhere,
}

/// Reads the file and the tail. It keeps the file open until it is dropped, even after `close`.
#[derive(Clone, Debug)]
pub(crate) struct FileReader {
    pub(crate) contents: Arc<Contents>,
    pub(crate) db: Arc<Db>,
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.contents.process.keep(&self.contents);
        self.contents.process.keep(&self.db);
    }
}

impl EngineReader for FileReader {
    fn identity(&self) -> &Identity {
        &self.contents.identity
    }

    fn process(&self) -> &Process {
        &self.contents.process
    }

    fn committed(&self) -> Position {
        self.contents.committed()
    }

    fn read(&self, get: &Get<'_>) -> Result<Got> {
        self.contents.process.check()?;
        let got = guarded(|| self.got(get));
        self.contents.reaper.note(get, &got);
        got
    }

    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>> {
        self.contents.process.check()?;
        Ok(match get {
            Get::Branch(place) => {
                let cached = self.contents.branches.cached(place);
                let found = match cached {
                    Some(branch) => Some(branch),
                    None => self.contents.tail()?.named(place).cloned(),
                };
                found.map(|branch| Got::Branch(Some(branch)))
            }
            Get::End(branch) => self.recent_end(branch, Look::InMemory)?.map(Got::End),
            _ => None,
        })
    }
}

impl FileReader {
    fn got(&self, get: &Get<'_>) -> Result<Got> {
        Ok(match get {
            Get::Branch(place) => Got::Branch(self.find(place)?),
            Get::BranchesOf(session) => Got::Branches(self.branches_of(session)?),
            Get::Branches { after, limit } => Got::Branches(self.branches_after(*after, *limit)?),
            Get::Sessions { after, limit } => Got::Sessions(self.session_names(*after, *limit)?),
            Get::Names { of, after, limit, rows } => Got::Names(self.some_names(*of, *after, *limit, *rows)?),
            Get::End(branch) => Got::End(self.end(branch)?),
            Get::Events { branch, range } => Got::Events(self.page(branch, *range)?),
            Get::Pieces { branch, from, to } => Got::Pieces(self.pieces(branch, *from, *to)?),
            Get::OfSession { session, range } => Got::Events(self.page_session(session, *range)?),
            Get::All(range) => Got::Events(self.page_all(*range)?),
            Get::Event(id) => Got::Event(self.by_id(*id)?),
            Get::Ids { from, to, limit } => Got::Ids(self.ids_between(*from, *to, *limit)?),
            Get::Whose(position) => Got::Whose(self.whose(*position)?),
            Get::Record { table, key } => Got::Record(self.each_record(*table, &[key])?.pop().flatten()),
            Get::EachRecord { table, keys } => Got::EachRecord(self.each_record(*table, keys)?),
            Get::Records { table, range } => Got::Records(self.records(*table, range)?),
        })
    }

    pub(crate) fn find(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        if let Some(branch) = self.contents.branches.cached(place) {
            return Ok(Some(branch));
        }
        let tail = self.contents.tail()?;
        let txn = Lazy::new(&self.db);
        self.contents.branches.find(place, &tail, || txn.get())
    }

    /// The branch with this number, as it is now. What an older view of the tables says of it would be kept for everybody, though
    /// the tail no longer knows what was changed and flushed since: so it is looked up in one from within.
    pub(crate) fn by_number(&self, number: u64) -> Result<Arc<Branch>> {
        if let Some(branch) = self.contents.branches.numbered(number) {
            return Ok(branch);
        }
        let tail = self.contents.tail()?;
        self.contents.branches.by_number(number, &tail, &*self.db.begin_read()?)
    }

    /// Where a branch ends, if the tail has any event of it.
    fn recent_end(&self, branch: &Branch, look: Look) -> Result<Option<End>> {
        let tail = self.contents.tail()?;
        let Some(last) = tail.last_event(branch.number) else { return Ok(None) };
        let now = match self.contents.changed_in_memory(branch.number, &tail) {
            Changed::Not => return Ok(Some(End::at(branch, last))),
            Changed::To(now) => now,
            Changed::Unknown if look == Look::InMemory => return Ok(None),
            Changed::Unknown => {
                self.contents.branches.by_number(branch.number, &tail, &*self.db.begin_read()?)?
            }
        };
        now.is_there()?;
        Ok(Some(End::at(&now, last)))
    }

    pub(crate) fn end(&self, branch: &Branch) -> Result<End> {
        // A view taken before the tail was checked would miss what was flushed in between.
        if let Some(end) = self.recent_end(branch, Look::Everywhere)? {
            return Ok(end);
        }
        let now = self.as_it_is(branch)?;
        let now = now.as_deref().unwrap_or(branch);
        now.is_there()?;
        let nothing = End::of_nothing(now);
        let row = LazyView::new(&self.contents.view, &self.db).get()?.head(branch.number)?;
        Ok(row.map_or(nothing, |row| End {
            head: row.head,
            position: row.position,
            recorded: Some(row.recorded),
            ..nothing
        }))
    }

    /// The branch as it is now, if it may have changed: whoever asks may have it from before.
    fn as_it_is(&self, branch: &Branch) -> Result<Option<Arc<Branch>>> {
        match self.contents.has_changes() {
            true => self.by_number(branch.number).map(Some),
            false => Ok(None),
        }
    }

    /// Several records as of one moment. While the tail is held nothing leaves it, so what is in the tables fits to it.
    fn each_record(&self, table: SidecarTable, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let view = LazyView::new(&self.contents.view, &self.db);
        let changed: Vec<Option<Option<Bytes>>> = {
            let tail = self.contents.tail()?;
            let changed: Vec<_> =
                keys.iter().map(|key| tail.record(table, key).map(Option::<&Bytes>::cloned)).collect();
            if changed.iter().any(Option::is_none) {
                view.get()?;
            }
            changed
        };
        let each = keys.iter().zip(changed).map(|(key, changed)| match changed {
            Some(value) => Ok(value.map(|value| value.to_vec())),
            None => view.get()?.records().get(table, key),
        });
        each.collect()
    }

    fn records(&self, table: SidecarTable, range: &SidecarRange<'_>) -> Result<Vec<SidecarRecord>> {
        let keys = Keys::of(range);
        let Some(bounds) = keys.bounds() else { return Ok(Vec::new()) };
        let view = LazyView::new(&self.contents.view, &self.db);
        let changes = {
            let tail = self.contents.tail()?;
            view.get()?;
            tail.records_between(table, bounds)
        };
        view.get()?.records().rows(table, range, bounds, &changes)
    }

    /// A page of a branch's history, including its ancestors' part: dense, and shorter than asked for only at the end
    /// of the range or when the page has grown large in bytes.
    pub(crate) fn page(&self, branch: &Branch, range: Range) -> Result<Vec<Event>> {
        self.held_from(branch, range.from, || self.page_of(branch, range))
    }

    /// Reads a branch that has everything from a sequence on. What is removed meanwhile is no damage.
    pub(crate) fn held_from<T>(
        &self,
        branch: &Branch,
        from: u64,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let is_held = || self.as_it_is(branch)?.as_deref().unwrap_or(branch).holds_from(from);
        is_held()?;
        read().or_else(|e| if e.is_damage() { is_held().and(Err(e)) } else { Err(e) })
    }

    fn page_of(&self, branch: &Branch, range: Range) -> Result<Vec<Event>> {
        let _span = tracing::trace_span!("page", branch = branch.number, from = range.from).entered();
        let view = LazyView::new(&self.contents.view, &self.db);
        fault!(TablesBeforeTail, {
            view.get()?;
        });
        // Copied before the view is taken.
        let (head, slices) = {
            let tail = self.contents.tail()?;
            let slices: Vec<Slice> = branch
                .lineage
                .iter()
                .map(|s| {
                    let (from, to) = (range.from.max(s.first), range.to.min(s.last));
                    tail.slice(s.branch, from, to, range.limit, range.reverse)
                })
                .collect();
            (tail.head(branch.number), slices)
        };
        let head = match head {
            Some(head) => head,
            None => view.get()?.head(branch.number)?.map_or(branch.fork, |row| row.head),
        };
        let (from, to) = (range.from.max(1), range.to.min(head));
        let mut page = Page { events: Vec::new(), limit: range.limit, bytes: 0 };
        let segments = branch.lineage.iter().zip(slices);
        let mut segments: Vec<(&Segment, Slice)> =
            segments.filter(|(s, _)| s.first <= to && s.last >= from).collect();
        if range.reverse {
            segments.reverse();
        }
        for (segment, slice) in segments {
            if page.is_full() {
                break;
            }
            let (lo, hi) = (from.max(segment.first), to.min(segment.last));
            // The flushed part of this segment, if the range touches it.
            let flushed = (lo, slice.first.map_or(hi, |first| hi.min(first - 1)));
            let in_tail = slice.events.into_iter().filter(|e| (lo..=hi).contains(&e.sequence().get()));
            if range.reverse {
                in_tail.for_each(|e| page.push(e));
                let at_end = flushed.1 == head;
                page.read_back(&view, segment, flushed, at_end)?;
            } else {
                page.read_on(&view, &self.contents.recent, segment, flushed)?;
                in_tail.for_each(|e| page.push(e));
            }
        }
        debug_assert!(page.is_dense(range.reverse), "a page without holes");
        Ok(page.events)
    }

    fn by_id(&self, id: EventId) -> Result<Option<Event>> {
        let txn = Lazy::new(&self.db);
        let recent = self.contents.tail()?.by_id(id).cloned();
        if let Some(TailEvent { branch, event }) = recent {
            let shows = self.shows(branch, event.sequence().get())?;
            return Ok(shows.then_some(event));
        }
        let place = |number| Ok(self.by_number(number)?.place.clone());
        let found = locate_id(&*txn.get()?, id, Beside::All, place)?;
        let Some((number, sequence)) = found else { return Ok(None) };
        let branch = self.by_number(number)?;
        if !branch.shows(sequence) {
            return Ok(None);
        }
        flushed_event(&*txn.get()?, number, &branch.place, sequence, Some(id)).map(Some)
    }

    /// Whether an event of a branch is still there for everybody.
    pub(crate) fn shows(&self, number: u64, sequence: u64) -> Result<bool> {
        Ok(!self.contents.has_changes() || self.by_number(number)?.shows(sequence))
    }
}

/// A page being filled.
struct Page {
    events: Vec<Event>,
    limit: usize,
    bytes: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || (self.bytes >= PAGE_BYTES && !self.events.is_empty())
    }

    fn push(&mut self, event: Event) {
        if !self.is_full() {
            self.bytes += event.record().encoded().len();
            self.events.push(event);
        }
    }

    /// Flushed events of one branch, in ascending order.
    fn read_on(
        &mut self,
        view: &LazyView<'_>,
        recent: &Recent,
        s: &Segment,
        (from, to): (u64, u64),
    ) -> Result<()> {
        if from > to || self.is_full() {
            return Ok(());
        }
        let mut next = from;
        if let Some(chunk) = recent.get(s.branch, next) {
            self.take_on(&chunk, s, &mut next, to)?;
        }
        if next > to || self.is_full() {
            return Ok(());
        }
        for row in lookup::rows(&view.get()?.events, (s.branch, next)..=(s.branch, u64::MAX))? {
            let (key, value) = row?;
            let chunk = Arc::new(open_chunk(&s.place, key.value(), value.value())?);
            if chunk.first() > next {
                return Err(hole(&s.place, next));
            }
            self.take_on(&chunk, s, &mut next, to)?;
            if next > to || self.is_full() {
                recent.keep(&chunk);
                return Ok(());
            }
        }
        Err(hole(&s.place, next))
    }

    fn take_on(&mut self, chunk: &Chunk, s: &Segment, next: &mut u64, to: u64) -> Result<()> {
        while *next <= to && *next <= chunk.last() && !self.is_full() {
            self.push(event_of(chunk, &s.place, *next)?);
            *next += 1;
        }
        Ok(())
    }

    /// Flushed events of one branch, in descending order; from its last chunk when it is read from the end.
    fn read_back(
        &mut self,
        view: &LazyView<'_>,
        s: &Segment,
        (from, to): (u64, u64),
        at_end: bool,
    ) -> Result<()> {
        if from > to || self.is_full() {
            return Ok(());
        }
        let table = &view.get()?.events;
        let top = if at_end {
            (s.branch, u64::MAX)
        } else {
            let above = lookup::rows(table, (s.branch, to)..=(s.branch, u64::MAX))?.next();
            above.transpose()?.map(|(key, _)| key.value()).ok_or_else(|| hole(&s.place, to))?
        };
        let mut next = to;
        for row in lookup::rows(table, (s.branch, from)..=top)?.rev() {
            let (key, value) = row?;
            let chunk = open_chunk(&s.place, key.value(), value.value())?;
            if chunk.last() < next {
                return Err(hole(&s.place, next));
            }
            while next >= from && next >= chunk.first() && !self.is_full() {
                self.push(event_of(&chunk, &s.place, next)?);
                next -= 1;
            }
            if next < from || self.is_full() {
                return Ok(());
            }
        }
        Err(hole(&s.place, next))
    }

    fn is_dense(&self, reverse: bool) -> bool {
        self.events.windows(2).all(|w| match w {
            [a, b] if reverse => a.sequence() == b.sequence().next(),
            [a, b] => a.sequence().next() == b.sequence(),
            _ => true,
        })
    }
}
