//! Reading in global order: the whole store, or all branches of one session.

use std::collections::HashMap;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::codec::{Chunk, decode_order};
use crate::engine::branch::Branch;
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::chunks::flushed_chunk;
use crate::engine::file::tables::definitions::ORDER;
use crate::engine::file::tables::lazy::Lazy;
use crate::engine::file::tables::lookup;
use crate::engine::get::{End, Range};
use crate::engine::pieces::event_of;
use crate::error::Result;
use crate::event::{Event, Position, SessionId};
use crate::limits::PAGE_BYTES;

impl FileReader {
    /// A page of the global order, dense in positions.
    pub(crate) fn page_all(&self, range: Range) -> Result<Vec<Event>> {
        let (flushed, to, tail): (u64, u64, Vec<Event>) = {
            let tail = self.contents.tail()?;
            let (from, to) = (range.from.max(1), range.to.min(tail.committed()));
            let found = tail.positions(from, to);
            let flushed_part =
                usize::try_from((tail.flushed() + 1).saturating_sub(from)).unwrap_or(usize::MAX);
            let events = found.map(|e| e.event.clone());
            let events = if range.reverse {
                events.rev().take(range.limit).collect()
            } else {
                events.take(range.limit.saturating_sub(flushed_part)).collect()
            };
            (tail.flushed(), to, events)
        };
        let (lo, hi) = (range.from.max(1), to.min(flushed));
        if range.reverse {
            let mut events = tail;
            let left = Range { from: lo, to: hi, limit: range.limit - events.len(), reverse: true };
            events.extend(self.flushed_order(left)?);
            Ok(events)
        } else {
            let mut events = self.flushed_order(Range { from: lo, to: hi, ..range })?;
            let complete = (hi + 1).saturating_sub(lo) as usize <= events.len();
            if complete {
                let left = range.limit - events.len();
                events.extend(tail.into_iter().take(left));
            }
            Ok(events)
        }
    }

    /// Flushed events by position. Each chunk that the page touches is decoded once.
    fn flushed_order(&self, range: Range) -> Result<Vec<Event>> {
        let mut page = Vec::new();
        if range.from > range.to || range.limit == 0 {
            return Ok(page);
        }
        let txn = Lazy::new(&self.db);
        let mut chunks: HashMap<u64, (Arc<Branch>, Chunk)> = HashMap::new();
        let mut bytes = 0;
        for (position, number, sequence) in self.places(&txn, range)? {
            let fits = |c: &Chunk| (c.first()..=c.last()).contains(&sequence);
            let at_hand = chunks.get(&number).filter(|(_, c)| fits(c)).is_some();
            if !at_hand {
                let branch = self.by_number(number, &txn)?;
                let chunk = flushed_chunk(&*txn.get()?, number, &branch.place, sequence)?;
                chunks.insert(number, (branch, chunk));
            }
            let Some((branch, chunk)) = chunks.get(&number) else { continue };
            let event = event_of(chunk, &branch.place, sequence)?;
            if event.position().get() != position {
                return Err(corrupt(event.address(), "the global order has another event at its position"));
            }
            bytes += event.record().encoded().len();
            page.push(event);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(page)
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
        if let Some((branch, sequence)) = in_tail {
            return Ok(Some((self.by_number(branch, &txn)?, sequence)));
        }
        let range = Range { from: position.get(), to: position.get(), limit: 1, reverse: false };
        let place = self.places(&txn, range)?.pop();
        let Some((_, number, sequence)) = place else { return Ok(None) };
        Ok(Some((self.by_number(number, &txn)?, sequence)))
    }

    /// Position, branch number and sequence of flushed events, in the direction of the range.
    fn places(&self, txn: &Lazy<'_>, range: Range) -> Result<Vec<(u64, u64, u64)>> {
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
            let mut row: Vec<(u64, u64, u64)> = Vec::new();
            for run in runs {
                let (lo, hi) =
                    (position.max(range.from), (position + u64::from(run.count) - 1).min(range.to));
                // A forward page needs no more than its limit.
                let hi = if range.reverse { hi } else { hi.min(lo + range.limit as u64 - 1) };
                row.extend((lo..=hi).map(|p| (p, run.branch, run.first + (p - position))));
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
        let wanted = usize::try_from(range.to - range.from + 1).unwrap_or(usize::MAX).min(range.limit);
        if places.len() < wanted {
            return Err(corrupt(format!("position {}", range.to), "the global order ends before it"));
        }
        Ok(places)
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
            let range = Range { from: first, to: u64::MAX, limit, reverse: false };
            let events = self.page(&branch, range)?;
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
            let (own, limit) = (branch.fork + 1, limit.max(1));
            if last < own {
                continue;
            }
            let events = self.page(&branch, Range { from: own, to: last, limit, reverse: true })?;
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

    /// The first sequence that a branch owns with a position after `after`, by binary search up to its end.
    fn first_after(&self, branch: &Branch, end: End, after: Position) -> Result<Option<u64>> {
        if end.position <= after.get() {
            return Ok(None);
        }
        let (mut lo, mut hi) = (branch.fork + 1, end.head);
        if after == Position::ZERO {
            return Ok(Some(lo));
        }
        while lo < hi {
            let middle = lo + (hi - lo) / 2;
            let range = Range { from: middle, to: middle, limit: 1, reverse: false };
            match self.page(branch, range)?.first() {
                Some(event) if event.position() <= after => lo = middle + 1,
                _ => hi = middle,
            }
        }
        Ok(Some(lo))
    }
}
