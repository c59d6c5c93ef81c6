//! Reading one branch: flushed chunks and tail as one dense history.
//!
//! The tail is copied first, the read transaction begins after it. What flushes in between is then found in both,
//! and taken from the tail; the other order would lose it.

use std::sync::Arc;

use crate::codec::Chunk;
use crate::error::Result;
use crate::event::{Event, EventId, Place, Position, Sequence};
use crate::limits::PAGE_BYTES;
use crate::store::branch::{Branch, Segment};
use crate::store::engine::contents::Contents;
use crate::store::engine::memory::recent::Recent;
use crate::store::engine::memory::tail::Slice;
use crate::store::engine::tables::chunks::{event_of, hole, open_chunk};
use crate::store::engine::tables::db::Db;
use crate::store::engine::tables::ids::{Beside, find_id};
use crate::store::engine::tables::lazy::Lazy;
use crate::store::engine::tables::lookup;
use crate::store::engine::tables::sidecar_view::SidecarView;
use crate::store::engine::tables::view::{LazyView, flushed_head};

/// What is in the file and in the tail, as it is stored. It keeps the file open until it is dropped, also beyond `close`.
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

/// Which events of a branch, and how many at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// First sequence, inclusive.
    pub(crate) from: u64,
    /// Last sequence, inclusive.
    pub(crate) to: u64,
    pub(crate) limit: usize,
    pub(crate) reverse: bool,
}

impl FileReader {
    /// The branch with these names.
    pub(crate) fn branch(&self, place: &Place) -> Result<Arc<Branch>> {
        self.find(place)?.ok_or_else(|| {
            let main = place.branch.as_str() == crate::event::MAIN;
            let identity = &self.contents.identity;
            match main {
                true => identity.not_found("session", &place.session),
                false => identity.not_found("branch", place),
            }
        })
    }

    pub(crate) fn find(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        self.contents.process.check()?;
        if let Some(branch) = self.contents.branches.cached(place) {
            return Ok(Some(branch));
        }
        let tail = self.contents.tail()?;
        let txn = Lazy::new(&self.db);
        self.contents.branches.find(place, &tail, || txn.get())
    }

    /// The branch with these names, if memory has it.
    pub(crate) fn find_in_memory(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        self.contents.process.check()?;
        if let Some(branch) = self.contents.branches.cached(place) {
            return Ok(Some(branch));
        }
        Ok(self.contents.tail()?.born(place).cloned())
    }

    /// The last sequence of a branch, if memory has it.
    pub(crate) fn head_in_memory(&self, branch: &Branch) -> Result<Option<Sequence>> {
        Ok(self.contents.tail()?.head(branch.number).map(Sequence::new))
    }

    pub(crate) fn by_number(&self, number: u64, txn: &Lazy<'_>) -> Result<Arc<Branch>> {
        self.contents.process.check()?;
        if let Some(branch) = self.contents.branches.numbered(number) {
            return Ok(branch);
        }
        let tail = self.contents.tail()?;
        self.contents.branches.by_number(number, &tail, &*txn.get()?)
    }

    /// The last sequence of a branch, inherited ones counted; zero when it is empty.
    pub(crate) fn head(&self, branch: &Branch) -> Result<Sequence> {
        if let Some(head) = self.contents.tail()?.head(branch.number) {
            return Ok(Sequence::new(head));
        }
        let flushed = flushed_head(&self.db.begin_read()?, branch.number)?;
        Ok(Sequence::new(flushed.map_or(branch.fork, |row| row.head)))
    }

    /// The sidecar records as of now. Holding them for long makes the file grow.
    pub(crate) fn records(&self) -> Result<SidecarView> {
        Ok(SidecarView::of(Arc::new(self.db.begin_read()?)))
    }

    /// The last position that is committed; zero in another process than the one that opened the store.
    pub(crate) fn committed(&self) -> Position {
        self.contents.committed()
    }

    /// A page of a branch's history, its ancestors' part included: dense, and shorter than asked for only at the
    /// end of the range or when the page has grown large in bytes.
    pub(crate) fn page(&self, branch: &Branch, range: Range) -> Result<Vec<Event>> {
        let _span = tracing::trace_span!("page", branch = branch.number, from = range.from).entered();
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
        let view = LazyView::new(&self.contents.view, &self.db);
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

    /// The event with this id.
    pub(crate) fn by_id(&self, id: EventId) -> Result<Event> {
        if let Some(e) = self.contents.tail()?.by_id(id) {
            return Ok(e.event.clone());
        }
        let txn = Lazy::new(&self.db);
        let place = |number| Ok(self.by_number(number, &txn)?.place.clone());
        find_id(&*txn.get()?, id, Beside::All, place)?
            .map(|(_, event)| event)
            .ok_or_else(|| self.contents.identity.not_found("event", id))
    }
}

/// A page that fills up.
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

    /// Flushed events of one branch, upwards.
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

    /// Flushed events of one branch, downwards; from its last chunk on when it is read from its end.
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
