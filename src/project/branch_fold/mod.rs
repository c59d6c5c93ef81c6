//! One projection as the runner drives it: states in memory, what is to be written, and where it is parked.

mod retry;

use std::collections::HashMap;
use std::sync::Arc;

use super::apply::Fold;
use super::damage::Damage;
use super::fold::{AnyState, Scope};
use super::keys::{self, Built, Key, ParkedRow, to_json};
use super::raise::Raise;
use super::read::{Found, Source, Stop};
use super::session_key::{is_of, key_of, key_of_event, session_of};
use super::spacing::stays;
use crate::error::{Error, Result};
use crate::event::{Address, Event, Place, Sequence};
use crate::limits::HOT_STATES;
use crate::store::{Branch, Reader, SidecarRange, SidecarTable, SidecarWrites};

/// A state in memory.
struct Hot {
    state: AnyState,
    /// The last sequence or position that is in it.
    at: u64,
    /// Where the event is that changed it last: its branch, sequence and position.
    last: (Arc<Place>, Sequence, u64),
    /// A stored snapshot of the branch's head: it goes when the next is written.
    saved: Option<u64>,
    /// Bytes of the state when it was written last.
    bytes: usize,
    dirty: bool,
    used: u64,
}

/// A generation that is kept up. The runner follows with one, a rebuild fills one.
pub(super) struct BranchFold {
    pub(super) fold: Arc<Fold>,
    pub(super) built: Built,
    hot: HashMap<Key, Hot>,
    parked: HashMap<Key, ParkedRow>,
    /// Every key's snapshot holds its events up to here: what the stored row of the generation says.
    stored: u64,
    pending: SidecarWrites,
    pub(super) raises: Vec<Raise>,
    clock: u64,
    dirty: usize,
    moved: bool,
    /// Events up to here were reacted to before: by what a rebuild replaces.
    pub(super) reacted: u64,
}

impl BranchFold {
    pub(super) fn new(reader: &Reader, fold: Arc<Fold>, built: Built) -> Result<Self> {
        let mut parked = HashMap::new();
        let records = reader.records();
        let prefix = keys::parkings_of(&fold.name, built.generation);
        for row in records.rows(SidecarTable::Checkpoints, &SidecarRange::under(&prefix, usize::MAX))? {
            let key = keys::parked_key(&fold.name, built.scope, &row.key);
            let value = row.value.ok().and_then(|json| serde_json::from_slice(&json).ok());
            if let (Some(key), Some(value)) = (key, value) {
                parked.insert(key, value);
            }
        }
        let stored = built.position;
        Ok(Self {
            fold,
            built,
            hot: HashMap::new(),
            parked,
            stored,
            pending: SidecarWrites::new(),
            raises: Vec::new(),
            clock: 0,
            dirty: 0,
            moved: false,
            reacted: 0,
        })
    }

    pub(super) fn parked(&self) -> impl Iterator<Item = (&Key, &ParkedRow)> {
        self.parked.iter()
    }

    pub(super) fn is_parked(&self, key: &Key) -> bool {
        self.parked.contains_key(key)
    }

    /// What waits to be written: rows and bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (
            self.pending.len() + if self.built.scope == Scope::Branch { 0 } else { self.dirty },
            self.pending.bytes(),
        )
    }

    /// Whether anything would be written by [`take`](Self::take) with heads.
    pub(super) fn is_dirty(&self) -> bool {
        self.moved || self.dirty > 0 || !self.pending.is_empty()
    }

    /// Takes the next event in global order.
    pub(super) fn follow(
        &mut self,
        reader: &Reader,
        branch: impl FnOnce() -> Result<Arc<Branch>>,
        event: &Event,
    ) -> Result<()> {
        let position = event.position().get();
        debug_assert!(position > self.built.position, "positions are followed in order");
        let taken = match self.built.scope {
            Scope::Branch => match branch() {
                Ok(branch) if is_of(reader, &branch, event)? => self.take_branch(reader, &branch, event),
                // It was deleted after the event was read.
                Ok(_) | Err(Error::Deleted { .. }) => Ok(()),
                Err(e) => Err(e),
            },
            Scope::Session | Scope::Key => self.take_key(reader, event),
        };
        taken?;
        self.built.position = position;
        self.moved = true;
        Ok(())
    }

    /// Goes past positions of which the events are gone.
    pub(super) fn pass(&mut self, position: u64) {
        self.built.position = position;
        self.moved = true;
    }

    /// Goes past an event that cannot be read. `false` when nobody knows whose state it would have changed.
    pub(super) fn go_past(
        &mut self,
        reader: &Reader,
        (branch, sequence): (&Branch, u64),
        position: u64,
        error: &Error,
    ) -> Result<bool> {
        if self.built.scope == Scope::Key {
            return Ok(false);
        }
        let damage = Damage { sequence: Some(sequence), position, error: error.clone() };
        self.park_unreadable(reader, branch, &damage)?;
        self.built.position = position;
        self.moved = true;
        Ok(true)
    }

    /// An event of a branch, in the order of its sequences.
    pub(super) fn take_branch(&mut self, reader: &Reader, branch: &Branch, event: &Event) -> Result<()> {
        let key = Key::Branch(branch.number);
        if self.is_parked(&key) {
            return Ok(());
        }
        if !self.hot.contains_key(&key) {
            match self.load_branch(reader, branch, event) {
                Ok(hot) => drop(self.hot.insert(key.clone(), hot)),
                Err(Stop::Error(Error::Deleted { .. })) => return Ok(()),
                // Without what was removed there is no state that could be continued.
                Err(Stop::Error(e)) if !e.is_damage() && !e.is_of_what_is_gone() => return Err(e),
                // An ancestor has it, so this branch cannot go past it either.
                Err(stop) => {
                    self.park(key, event, stop);
                    return Ok(());
                }
            }
        }
        let sequence = event.sequence().get();
        if self.apply(&key, event, sequence) {
            let due = self.hot.get(&key).is_some_and(|hot| hot.dirty && stays(sequence, hot.bytes));
            if let Some(mut hot) = due.then(|| self.hot.remove(&key)).flatten() {
                self.dirty -= 1;
                hot.dirty = false;
                if self.snapshot(&key, &mut hot) {
                    self.hot.insert(key, hot);
                }
            }
        }
        Ok(())
    }

    /// An event of a session or a key, in global order.
    pub(super) fn take_key(&mut self, reader: &Reader, event: &Event) -> Result<()> {
        let text = match self.fold.scope {
            Scope::Session => key_of_event(reader, event)?,
            _ => self.fold.text_key(event),
        };
        let Some(text) = text else { return Ok(()) };
        let key = Key::Text(text);
        let Key::Text(text) = &key else { return Ok(()) };
        if self.is_parked(&key) {
            return Ok(());
        }
        let position = event.position().get();
        if !self.hot.contains_key(&key) {
            let source =
                Source::of(reader, &self.fold, Built { position: self.stored, ..self.built.clone() })?;
            let stored = source.keyed_from_snapshot(text, position - 1);
            match stored {
                Ok(found) => drop(self.hot.insert(key.clone(), self.warm(found, event))),
                Err(Stop::Error(e)) if !e.is_damage() => return Err(e),
                Err(stop) => {
                    self.park(key, event, stop);
                    return Ok(());
                }
            }
        }
        self.apply(&key, event, position);
        Ok(())
    }

    fn load_branch(&self, reader: &Reader, branch: &Branch, event: &Event) -> Result<Hot, Stop> {
        let source = Source::of(reader, &self.fold, self.built.clone())?;
        let before = event.sequence().get() - 1;
        let found = source.branch(branch, before)?;
        // Only the head's snapshot goes when the next is written; those on the grid stay.
        let own = found.snapshot.filter(|s| s.is_own && !stays(s.at, s.bytes));
        Ok(Hot { saved: own.map(|s| s.at), ..self.warm(found, event) })
    }

    fn warm(&self, found: Found, event: &Event) -> Hot {
        Hot {
            bytes: found.snapshot.map_or(0, |s| s.bytes),
            state: found.state,
            at: found.at,
            last: (event.place().clone(), event.sequence(), event.position().get()),
            saved: None,
            dirty: false,
            used: self.clock,
        }
    }

    /// Folds an event into the state of a key that is in memory, unless it is in there. `false` when it is parked.
    fn apply(&mut self, key: &Key, event: &Event, at: u64) -> bool {
        let Some(hot) = self.hot.get_mut(key) else { return false };
        self.clock += 1;
        hot.used = self.clock;
        if hot.at >= at {
            return true;
        }
        let reacts = self.fold.reacts && event.position().get() > self.reacted;
        let folded = match reacts {
            false => self.fold.step(&mut hot.state, event).map(drop),
            true => self.fold.step_and_react(&mut hot.state, event).map(|emits| {
                let raise = |emit| Raise::new(&self.fold.name, emit, event);
                self.raises.extend(emits.into_iter().map(raise));
            }),
        };
        match folded {
            Ok(()) => {
                hot.at = at;
                hot.last = (event.place().clone(), event.sequence(), event.position().get());
                self.dirty += usize::from(!std::mem::replace(&mut hot.dirty, true));
                true
            }
            Err(reason) => {
                self.dirty -= usize::from(hot.dirty);
                self.hot.remove(key);
                self.park(key.clone(), event, Stop::failed(event, reason));
                false
            }
        }
    }

    /// Whether memory is full: [`take`](Self::take) with heads, write that, then [`cool`](Self::cool).
    pub(super) fn is_full(&self) -> bool {
        self.hot.len() >= HOT_STATES
    }

    /// How many states are in memory.
    pub(super) fn held(&self) -> usize {
        self.hot.len()
    }

    /// Lets go of all states, which have to be written.
    pub(super) fn forget(&mut self) {
        self.hot.clear();
    }

    /// Lets go of the states that were not used for longest. All of them have to be written.
    pub(super) fn cool(&mut self) {
        let mut used: Vec<u64> = self.hot.values().map(|hot| hot.used).collect();
        let middle = used.len() / 2;
        if used.is_empty() {
            return;
        }
        let (_, bound, _) = used.select_nth_unstable(middle);
        let bound = *bound;
        self.hot.retain(|_, hot| hot.used > bound || hot.dirty);
    }

    /// Parks a key at the event that failed, which may be an inherited one.
    fn park(&mut self, key: Key, event: &Event, stop: Stop) {
        let of = self.fold.named(&key, event);
        let row = match stop {
            Stop::Failed(failed, reason) => {
                let position = failed.position().get();
                ParkedRow::new(of, &failed.address(), position, reason, self.stored)
            }
            Stop::Parked(row) => ParkedRow { of, ..*row },
            Stop::Error(e) => {
                ParkedRow::new(of, &event.address(), event.position().get(), e.to_string(), self.stored)
            }
        };
        self.park_row(key, row);
    }

    /// An event of this branch or session cannot be read: its states end before it. What is of other keys goes on.
    pub(super) fn park_unreadable(
        &mut self,
        reader: &Reader,
        branch: &Branch,
        damage: &Damage,
    ) -> Result<()> {
        let (key, of) = match self.built.scope {
            Scope::Branch => (Key::Branch(branch.number), branch.place.to_string()),
            _ => {
                let session = &branch.place.session;
                (Key::Text(key_of(reader, session)?), session.to_string())
            }
        };
        if self.is_parked(&key) {
            return Ok(());
        }
        // What was folded up to here is written, so that a reader is not led past it again.
        if let Some(mut hot) = self.hot.remove(&key)
            && std::mem::take(&mut hot.dirty)
        {
            self.dirty -= 1;
            if !self.snapshot(&key, &mut hot) {
                return Ok(());
            }
        }
        let place = Address::from((*branch.place).clone());
        let at = damage.sequence.map_or(place.clone(), |n| place.at(Sequence::new(n)));
        let reason = damage.error.to_string();
        self.park_row(key, ParkedRow::new(of, &at, damage.position, reason, self.stored));
        Ok(())
    }

    fn park_row(&mut self, key: Key, row: ParkedRow) {
        tracing::warn!(projection = self.fold.name, of = row.of, at = row.at, reason = row.reason, "parked");
        let row_key = keys::parking(&self.fold.name, self.built.generation, &key);
        self.pending.put(SidecarTable::Checkpoints, row_key, to_json(&row));
        self.parked.insert(key, row);
    }

    pub(super) fn unpark(&mut self, key: &Key) {
        self.parked.remove(key);
        self.pending
            .remove(SidecarTable::Checkpoints, keys::parking(&self.fold.name, self.built.generation, key));
    }

    /// Puts the state of a branch among what is to be written. `false` when it cannot be written, and is parked.
    fn snapshot(&mut self, key: &Key, hot: &mut Hot) -> bool {
        match self.fold.encode(&hot.state) {
            Err(reason) => {
                let (place, sequence, position) = &hot.last;
                let of = match key {
                    Key::Branch(_) => place.to_string(),
                    Key::Text(text) if self.built.scope == Scope::Session => session_of(text).to_owned(),
                    Key::Text(text) => text.clone(),
                };
                let at = Address::from((**place).clone()).at(*sequence);
                self.park_row(key.clone(), ParkedRow::new(of, &at, *position, reason, self.stored));
                false
            }
            Ok(json) => {
                let generation = self.built.generation;
                if let Some(old) = hot.saved.take().filter(|old| *old != hot.at) {
                    self.pending
                        .remove(SidecarTable::Snapshots, keys::state(&self.fold.name, generation, key, old));
                }
                hot.bytes = json.len();
                let row = match key {
                    Key::Branch(_) => json,
                    Key::Text(_) => [&hot.at.to_be_bytes()[..], &json].concat(),
                };
                self.pending.put(
                    SidecarTable::Snapshots,
                    keys::state(&self.fold.name, generation, key, hot.at),
                    row,
                );
                hot.saved =
                    matches!(key, Key::Branch(_)).then_some(hot.at).filter(|at| !stays(*at, hot.bytes));
                true
            }
        }
    }

    /// Everything that is to be written in one transaction: snapshots, and how far this generation is. With `heads`
    /// also those of branches; keys are always complete, as the position speaks for them.
    pub(super) fn take(&mut self, heads: bool) -> SidecarWrites {
        if self.dirty > 0 && (heads || self.built.scope != Scope::Branch) {
            let dirty: Vec<Key> =
                self.hot.iter().filter(|(_, hot)| hot.dirty).map(|(key, _)| key.clone()).collect();
            for key in dirty {
                let Some(mut hot) = self.hot.remove(&key) else { continue };
                hot.dirty = false;
                if self.snapshot(&key, &mut hot) {
                    self.hot.insert(key, hot);
                }
            }
            self.dirty = 0;
        }
        self.moved = false;
        self.stored = self.built.position;
        std::mem::take(&mut self.pending)
    }
}
