//! A long read of one branch, in pieces: flushed chunks as they are decompressed, and what the tail has.

use super::file_reader::FileReader;
use crate::engine::branch::Branch;
use crate::engine::file::in_memory::tail::Slice;
use crate::engine::file::tables::chunks::{hole, open_chunk};
use crate::engine::file::tables::lookup;
use crate::engine::file::tables::view::LazyView;
use crate::engine::pieces::{Piece, Pieces};
use crate::error::Result;
use crate::event::Event;
use crate::limits::{PAGE_BYTES, SCAN_CHUNKS, SCAN_TAIL_EVENTS};
use crate::sync::fault;

impl FileReader {
    /// The next pieces of a branch's history, including its ancestors' part: a few chunks at a time, and fewer if they are
    /// large.
    pub(crate) fn pieces(&self, branch: &Branch, from: u64, to: u64) -> Result<Pieces> {
        self.held_from(branch, from, || self.pieces_of(branch, from, to))
    }

    fn pieces_of(&self, branch: &Branch, from: u64, to: u64) -> Result<Pieces> {
        let view = LazyView::new(&self.contents.view, &self.db);
        fault!(TablesBeforeTail, {
            view.get()?;
        });
        // Copied before the view is taken.
        let (head, slices) = {
            let tail = self.contents.tail()?;
            let slices = branch.lineage.iter().map(|s| {
                let (from, to) = (from.max(s.first), to.min(s.last));
                tail.slice(s.branch, from, to, SCAN_TAIL_EVENTS, false)
            });
            let slices: Vec<Slice> = slices.collect();
            (tail.head(branch.number), slices)
        };
        let head = match head {
            Some(head) => head,
            None => view.get()?.head(branch.number)?.map_or(branch.fork, |row| row.head),
        };
        let (mut next, to) = (from.max(1), to.min(head));
        let (mut pieces, mut bytes) = (Pieces::default(), 0);
        for (segment, slice) in branch.lineage.iter().zip(slices) {
            if next > to || next > segment.last {
                continue;
            }
            let end = to.min(segment.last);
            let flushed = slice.first.map_or(end, |first| end.min(first - 1));
            if next <= flushed {
                let table = &view.get()?.events;
                for row in lookup::rows(table, (segment.branch, next)..=(segment.branch, u64::MAX))? {
                    if pieces.list.len() >= SCAN_CHUNKS || bytes >= PAGE_BYTES {
                        pieces.next = Some(next);
                        return Ok(pieces);
                    }
                    let (key, value) = row?;
                    let chunk = open_chunk(&segment.place, key.value(), value.value())?;
                    if chunk.first() > next {
                        break;
                    }
                    let last = chunk.last().min(flushed);
                    bytes += chunk.bytes();
                    pieces.list.push(Piece::Packed { place: segment.place.clone(), chunk, next, last });
                    next = last + 1;
                    if next > flushed {
                        break;
                    }
                }
                if next <= flushed {
                    return Err(hole(&segment.place, next));
                }
            }
            let fits = |event: &Event| {
                let before = bytes;
                bytes += event.record().encoded().len();
                before < PAGE_BYTES
            };
            let recent = slice.events.into_iter().filter(|e| (next..=end).contains(&e.sequence().get()));
            let recent: Vec<Event> = recent.take_while(fits).collect();
            if let Some(last) = recent.last().map(|e| e.sequence().get()) {
                pieces.list.push(Piece::Events(recent.into_iter()));
                next = last + 1;
            }
            if next <= end {
                // The tail has more than was copied, or than fits.
                break;
            }
        }
        pieces.next = (!pieces.list.is_empty()).then_some(next);
        Ok(pieces)
    }
}
