//! What is parked is folded again, from the event that failed on.

use super::super::keys::{self, Built, Key, ParkedRow, to_json};
use super::super::read::{Source, Stop};
use super::{Hot, Lane};
use crate::error::Result;
use crate::event::Event;
use crate::limits::PROJECT_PAGE;
use crate::store::{Branch, Range, Reader, Shelf};

impl Lane {
    /// Folds a parked key again, up to where the projection is. `false` when it is parked once more.
    pub(in crate::project) fn retry(&mut self, reader: &Reader, key: &Key, row: &ParkedRow) -> Result<bool> {
        let fold = self.fold.clone();
        let source = Source::of(reader, &fold, Built { position: self.stored, ..self.built.clone() })?;
        self.unpark(key);
        match key {
            Key::Branch(_) => {
                let place: crate::event::Address = row.of.parse()?;
                let branch = reader.branch(place.place())?;
                let from = source.nearest(&branch, u64::MAX)?.snapshot.unwrap_or(branch.fork);
                let position = self.built.position;
                own_events(reader, &branch, from, position, |event| {
                    self.take_branch(reader, &branch, event)
                })?;
            }
            Key::Text(text) => {
                let (found, _) = source.stored(text, Some(row.from))?;
                let after = found.at;
                let mut hot: Option<Hot> = None;
                let mut start = Some(found);
                let folded = source.each_of(text, after, self.built.position, |event| {
                    let mut now = match (hot.take(), start.take()) {
                        (Some(hot), _) => hot,
                        (None, Some(found)) => self.warm(found, event),
                        (None, None) => return Ok(()),
                    };
                    self.apply(&mut now, event).map_err(|reason| Stop::failed(event, reason))?;
                    now.at = event.position().get();
                    hot = Some(now);
                    Ok(())
                });
                match (folded, hot) {
                    (Err(Stop::Error(e)), _) => return Err(e),
                    (Err(Stop::Failed(event, reason)), _) => {
                        self.park(key.clone(), &event, Stop::failed(&event, reason));
                        if let Some(parked) = self.parked.get_mut(key) {
                            parked.from = row.from;
                            let mark = keys::parking(&fold.name, self.built.generation, key);
                            self.pending.put(Shelf::Checkpoints, mark, to_json(parked));
                        }
                    }
                    (Err(Stop::Parked(_)), _) | (Ok(()), None) => {}
                    (Ok(()), Some(hot)) => {
                        self.dirty += 1;
                        self.keep(key.clone(), Hot { dirty: true, ..hot });
                    }
                }
            }
        }
        self.moved = true;
        Ok(!self.is_parked(key))
    }
}

/// Own events of a branch after a sequence, up to a position.
pub(in crate::project) fn own_events(
    reader: &Reader,
    branch: &Branch,
    after: u64,
    position: u64,
    mut take: impl FnMut(&Event) -> Result<()>,
) -> Result<u64> {
    let mut from = after.max(branch.fork) + 1;
    let mut taken = 0;
    loop {
        let range = Range { from, to: u64::MAX, limit: PROJECT_PAGE, reverse: false };
        let page = reader.page(branch, range)?;
        if page.is_empty() {
            return Ok(taken);
        }
        for event in &page {
            if event.position().get() > position {
                return Ok(taken);
            }
            take(event)?;
            taken += 1;
            from = event.sequence().get() + 1;
        }
    }
}
