//! Reading in global order: the whole store, or all branches of one session.

use std::collections::HashMap;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::codec::{Chunk, decode_order};
use crate::engine::branch::Branch;
use crate::engine::file::in_memory::layer::TailEvent;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::chunks::{flushed_chunk, flushed_event};
use crate::engine::file::tables::definitions::ORDER;
use crate::engine::file::tables::lazy::Lazy;
use crate::engine::file::tables::lookup;
use crate::engine::get::{End, Range};
use crate::engine::pieces::event_of;
use crate::error::{Error, Result};
use crate::event::{Event, Position, SessionId, Timestamp};
use crate::limits::{DEFAULT_PAGE, PAGE_BYTES};

/// Position, branch number and sequence.
type At = (u64, u64, u64);

/// Flushed events of a range, and the last position that was looked at.
struct Part {
    events: Vec<Event>,
    reached: u64,
}

impl FileReader {
    /// A page of the global order. Positions of events that are gone are left out, and no others.
    pub(crate) fn page_all(&self, range: Range) -> Result<Vec<Event>> {
        let txn = Lazy::new(&self.db);
        let (flushed, to, tail) = self.unflushed_order(range)?;
        let (lo, hi) = (range.from.max(1), to.min(flushed));
        let (mut events, tail_after) = if range.reverse { (tail, None) } else { (Vec::new(), Some(tail)) };
        let (mut from, mut to, mut bytes) = (lo, hi, 0);
        let mut look = range.limit;
        // A part of which everything is gone is not the end.
        while from <= to && events.len() < range.limit && bytes < PAGE_BYTES {
            let limit = range.limit - events.len();
            let part = self.flushed_order(Range { from, to, limit, ..range }, look, &txn)?;
            bytes += part.events.iter().map(|e| e.record().encoded().len()).sum::<usize>();
            // Much that is gone lies together.
            look = if part.events.is_empty() { look.saturating_mul(2).min(DEFAULT_PAGE) } else { limit };
            events.extend(part.events);
            match range.reverse {
                false => from = part.reached + 1,
                true => to = part.reached - 1,
            }
        }
        if let Some(tail) = tail_after.filter(|_| from > to) {
            let left = range.limit - events.len();
            events.extend(tail.into_iter().take(left));
        }
        Ok(events)
    }

    /// What is not flushed of a range, after the last flushed position and up to the last that is committed.
    fn unflushed_order(&self, range: Range) -> Result<(u64, u64, Vec<Event>)> {
        let tail = self.contents.tail()?;
        let (from, to) = (range.from.max(1), range.to.min(tail.committed()));
        let has_changes = self.contents.has_changes();
        let mut last: Option<Arc<Branch>> = None;
        let mut shows = |e: &TailEvent| -> Result<bool> {
            if !has_changes {
                return Ok(true);
            }
            let branch = match last.take().filter(|branch| branch.number == e.branch) {
                Some(branch) => branch,
                None => match self.contents.branches.in_memory(e.branch, &tail) {
                    Some(branch) => branch,
                    None => self.contents.branches.by_number(e.branch, &tail, &*self.db.begin_read()?)?,
                },
            };
            Ok(last.insert(branch).shows(e.event.sequence().get()))
        };
        let shown = |e: &TailEvent| match shows(e) {
            Ok(true) => Some(Ok(e.event.clone())),
            Ok(false) => None,
            Err(e) => Some(Err(e)),
        };
        // Of what is flushed nothing may be left.
        let flushed = (tail.flushed() + 1).saturating_sub(from);
        let before = if has_changes { 0 } else { usize::try_from(flushed).unwrap_or(usize::MAX) };
        let found = tail.positions(from, to);
        let events = match range.reverse {
            true => found.rev().filter_map(shown).take(range.limit).collect::<Result<_>>(),
            false => found.filter_map(shown).take(range.limit.saturating_sub(before)).collect(),
        };
        Ok((tail.flushed(), to, events?))
    }

    /// Flushed events by position, of no more than so many. Each chunk that the page touches is decoded once.
    fn flushed_order(&self, range: Range, look: usize, txn: &Lazy<'_>) -> Result<Part> {
        let (places, reached) = self.places(txn, Range { limit: look.max(range.limit), ..range })?;
        let mut part = Part { events: Vec::new(), reached };
        let mut chunks: HashMap<u64, (Arc<Branch>, Option<Chunk>)> = HashMap::new();
        let mut bytes = 0;
        for (position, number, sequence) in places {
            let fits = |c: &Chunk| (c.first()..=c.last()).contains(&sequence);
            let known = chunks.remove(&number);
            let (branch, chunk) = match known {
                Some((branch, chunk)) => (branch, chunk.filter(fits)),
                None => (self.by_number(number)?, None),
            };
            if !branch.shows(sequence) {
                chunks.insert(number, (branch, chunk));
                continue;
            }
            let chunk = match chunk {
                Some(chunk) => chunk,
                None => flushed_chunk(&*txn.get()?, number, &branch.place, sequence)?,
            };
            let event = event_of(&chunk, &branch.place, sequence)?;
            chunks.insert(number, (branch, Some(chunk)));
            if event.position().get() != position {
                return Err(corrupt(event.address(), "the global order has another event at its position"));
            }
            bytes += event.record().encoded().len();
            part.events.push(event);
            if bytes >= PAGE_BYTES || part.events.len() >= range.limit {
                part.reached = position;
                break;
            }
        }
        Ok(part)
    }

    /// When the last event was recorded that is in the file, whether anybody sees it or not; `None` without one.
    pub(crate) fn last_recorded(&self) -> Result<Option<Timestamp>> {
        let flushed = {
            let tail = self.contents.tail()?;
            if let Some(last) = tail.positions(tail.committed(), tail.committed()).next() {
                return Ok(Some(last.event.recorded()));
            }
            tail.flushed()
        };
        if flushed == 0 {
            return Ok(None);
        }
        let txn = Lazy::new(&self.db);
        let range = Range { from: 1, to: flushed, limit: 1, reverse: true };
        let Some((_, number, sequence)) = self.places(&txn, range)?.0.pop() else { return Ok(None) };
        let place = self.by_number(number)?.place.clone();
        flushed_event(&*txn.get()?, number, &place, sequence, None).map(|event| Some(event.recorded()))
    }

    /// The branch and sequence of an event, even if the event itself cannot be read.
    pub(crate) fn whose(&self, position: Position) -> Result<Option<(Arc<Branch>, u64)>> {
        let number = position.get();
        let in_tail = {
            let tail = self.contents.tail()?;
            if number == 0 || number > tail.committed() {
                return Ok(None);
            }
            tail.positions(number, number).next().map(|e| (e.branch, e.event.sequence().get()))
        };
        let txn = Lazy::new(&self.db);
        let found = match in_tail {
            Some(found) => Some(found),
            None => {
                let range = Range { from: number, to: number, limit: 1, reverse: false };
                self.places(&txn, range)?.0.pop().map(|(_, branch, sequence)| (branch, sequence))
            }
        };
        let Some((number, sequence)) = found else { return Ok(None) };
        let branch = self.by_number(number)?;
        Ok(branch.shows(sequence).then_some((branch, sequence)))
    }

    /// Position, branch number and sequence of flushed events, in the direction of the range, and how far that is.
    fn places(&self, txn: &Lazy<'_>, range: Range) -> Result<(Vec<At>, u64)> {
        let table = lookup::open(&*txn.get()?, ORDER)?;
        let first = match lookup::rows(&table, ..=range.from)?.next_back() {
            Some(row) => row?.0.value(),
            None => {
                return Err(corrupt(format!("position {}", range.from), "the global order begins after it"));
            }
        };
        let mut places = Vec::new();
        let mut expected = None;
        let mut take = |key: u64, value: &[u8]| -> Result<bool> {
            let runs =
                decode_order(key, value).map_err(|e| corrupt(format!("position {key}"), e.to_string()))?;
            let count: u64 = runs.iter().map(|r| u64::from(r.count)).sum();
            let gap = expected.is_some_and(|e| if range.reverse { e != key + count } else { e != key });
            if gap {
                return Err(corrupt(format!("position {key}"), "the global order has a hole beside it"));
            }
            expected = Some(if range.reverse { key } else { key + count });
            let mut position = key;
            let mut row: Vec<At> = Vec::new();
            for run in runs {
                let (lo, hi) =
                    (position.max(range.from), (position + u64::from(run.count) - 1).min(range.to));
                // A forward page needs no more than its limit.
                let hi = if range.reverse { hi } else { hi.min(lo.saturating_add(range.limit as u64) - 1) };
                if !run.is_removed() {
                    row.extend((lo..=hi).map(|p| (p, run.branch, run.first + (p - position))));
                }
                position += u64::from(run.count);
                if position > range.to || (!range.reverse && row.len() >= range.limit) {
                    break;
                }
            }
            if range.reverse {
                row.reverse();
            }
            places.extend(row);
            places.truncate(range.limit);
            Ok(places.len() >= range.limit)
        };
        let rows = lookup::rows(&table, first..=range.to)?;
        if range.reverse {
            for row in rows.rev() {
                let (key, value) = row?;
                if take(key.value(), value.value())? {
                    break;
                }
            }
        } else {
            for row in rows {
                let (key, value) = row?;
                if take(key.value(), value.value())? {
                    break;
                }
            }
        }
        let is_full = places.len() >= range.limit;
        let covers = match (expected, range.reverse) {
            (Some(next), false) => next > range.to,
            (Some(first), true) => first <= range.from,
            (None, _) => false,
        };
        if !is_full && !covers {
            return Err(corrupt(format!("position {}", range.to), "the global order ends before it"));
        }
        let last = places.last().map(|(position, ..)| *position).filter(|_| is_full);
        let reached = last.unwrap_or(if range.reverse { range.from } else { range.to });
        Ok((places, reached))
    }

    /// A page of all branches of one session, in global order, of what is committed as it begins: nothing committed
    /// later can then come before what the page holds.
    pub(crate) fn page_session(&self, session: &SessionId, range: Range) -> Result<Vec<Event>> {
        let after = Position::new(range.from.saturating_sub(1));
        let to = Position::new(range.to.min(self.contents.committed().get()));
        match range.reverse {
            false => self.session_on(session, after, to, range.limit),
            true => self.session_back(session, after, to, range.limit),
        }
    }

    fn session_on(
        &self,
        session: &SessionId,
        after: Position,
        to: Position,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let mut page: Vec<Event> = Vec::new();
        // Where a branch's page is cut off, later events of other branches have to wait.
        let mut complete_to = to.get();
        // What is appended after these ends were read is beyond `to`.
        for (branch, end) in self.branches_of(session)? {
            let Some(first) = self.first_after(&branch, end, after)? else { continue };
            let events =
                self.own_page(&branch, Range { from: first, to: u64::MAX, limit, reverse: false })?;
            if let Some(last) = events.last().filter(|e| e.position() < to)
                && last.sequence().get() < end.head
            {
                complete_to = complete_to.min(last.position().get());
            }
            page.extend(events);
        }
        page.retain(|e| e.position().get() <= complete_to);
        page.sort_unstable_by_key(Event::position);
        page.truncate(limit);
        Ok(page)
    }

    /// The same in descending order.
    fn session_back(
        &self,
        session: &SessionId,
        after: Position,
        to: Position,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let mut page: Vec<Event> = Vec::new();
        // Where a branch's page is cut off, earlier events of other branches have to wait.
        let mut complete_from = after.get() + 1;
        for (branch, end) in self.branches_of(session)? {
            let last = self.first_after(&branch, end, to)?.map_or(end.head, |beyond| beyond - 1);
            let (own, limit) = ((branch.fork + 1).max(branch.first()), limit.max(1));
            if last < own {
                continue;
            }
            let events = self.own_page(&branch, Range { from: own, to: last, limit, reverse: true })?;
            if let Some(first) = events.last().filter(|e| e.position() > after)
                && first.sequence().get() > own
            {
                complete_from = complete_from.max(first.position().get());
            }
            page.extend(events);
        }
        page.retain(|e| e.position().get() >= complete_from && e.position() <= to);
        page.sort_unstable_by_key(|e| std::cmp::Reverse(e.position()));
        page.truncate(limit);
        Ok(page)
    }

    /// A page of a branch. What is removed meanwhile is left out.
    fn own_page(&self, branch: &Branch, mut range: Range) -> Result<Vec<Event>> {
        loop {
            match self.page(branch, range) {
                Err(Error::Deleted { .. }) => return Ok(Vec::new()),
                Err(Error::Truncated { first, .. }) if first.get() > range.from => range.from = first.get(),
                page => return page,
            }
        }
    }

    /// The first sequence that a branch owns with a position after `after`, by binary search up to its end.
    fn first_after(&self, branch: &Branch, end: End, after: Position) -> Result<Option<u64>> {
        if end.position <= after.get() {
            return Ok(None);
        }
        let (mut lo, mut hi) = ((branch.fork + 1).max(branch.first()), end.head);
        if after == Position::ZERO || lo > hi {
            return Ok(Some(lo));
        }
        while lo < hi {
            let middle = lo + (hi - lo) / 2;
            let range = Range { from: middle, to: middle, limit: 1, reverse: false };
            match self.own_page(branch, range)?.first() {
                Some(event) if event.position() <= after => lo = middle + 1,
                _ => hi = middle,
            }
        }
        Ok(Some(lo))
    }
}
