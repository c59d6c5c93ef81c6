//! What is parked is folded again, from the event that failed on.

use super::super::damage::own_events;
use super::super::fold::Scope;
use super::super::keys::{self, Built, Key, ParkedRow, to_json};
use super::super::read::{Source, Stop};
use super::super::session_key::is_gone;
use super::BranchFold;
use crate::error::Result;
use crate::store::{Reader, SidecarTable};

impl BranchFold {
    /// Folds a parked key again, up to where the projection is. `false` when it is parked once more.
    pub(in crate::project) fn retry(&mut self, reader: &Reader, key: &Key, row: &ParkedRow) -> Result<bool> {
        let fold = self.fold.clone();
        let source = Source::of(reader, &fold, Built { position: self.stored, ..self.built.clone() })?;
        self.unpark(key);
        match key {
            Key::Branch(number) => {
                let place: crate::event::Address = row.of.parse()?;
                let named = reader.find(place.place())?;
                let Some(branch) = named.filter(|branch| branch.number == *number) else {
                    // It was deleted: there is nothing to fold.
                    self.moved = true;
                    return Ok(true);
                };
                let from = source.nearest(&branch, u64::MAX)?.own().unwrap_or(branch.fork);
                let position = self.built.position;
                let damage = own_events(reader, &branch, from, position, |event| {
                    self.take_branch(reader, &branch, event)
                })?;
                if let Some(damage) = damage {
                    self.park_unreadable(reader, &branch, &damage)?;
                }
            }
            // There is nothing of it any more, and what has its name now is not parked for that.
            Key::Text(text) if fold.scope == Scope::Session && is_gone(reader, text)? => {}
            Key::Text(text) => {
                let (found, _) = source.stored(text, Some(row.from))?;
                let after = found.at;
                let mut start = Some(found);
                let folded = source.each_of(text, after, self.built.position, |event| {
                    if let Some(found) = start.take() {
                        self.hot.insert(key.clone(), self.warm(found, event));
                    }
                    match self.apply(key, event, event.position().get()) {
                        true => Ok(()),
                        // It is parked again: no further.
                        false => Err(Stop::Parked(Box::new(row.clone()))),
                    }
                });
                match folded {
                    Err(Stop::Error(e)) if !e.is_damage() => return Err(e),
                    // Still unreadable: it stays where it was.
                    Err(Stop::Error(_)) => {
                        if self.hot.remove(key).is_some_and(|hot| hot.dirty) {
                            self.dirty -= 1;
                        }
                        self.park_row(key.clone(), row.clone());
                    }
                    _ => {}
                }
                if let Some(parked) = self.parked.get_mut(key) {
                    parked.from = row.from;
                    let row_key = keys::parking(&fold.name, self.built.generation, key);
                    self.pending.put(SidecarTable::Checkpoints, row_key, to_json(parked));
                }
            }
        }
        self.moved = true;
        Ok(!self.is_parked(key))
    }
}
