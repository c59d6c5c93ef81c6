//! One projection as the runner drives it: states in memory, what is to be written, and where it is parked.

mod retry;

use std::collections::HashMap;
use std::sync::Arc;

use super::apply::Fold;
use super::fold::{AnyState, Scope};
use super::keys::{self, Built, Key, ParkedRow, to_json};
use super::raise::Raise;
use super::read::{Found, Source, Stop};
use crate::error::Result;
use crate::event::Event;
use crate::limits::{HOT_STATES, SNAPSHOT_SPACING};
use crate::store::{Branch, Marks, Reader, Rows, Shelf};

pub(super) use retry::own_events;

/// A state in memory.
struct Hot {
    state: AnyState,
    /// The last sequence or position that is in it.
    at: u64,
    /// The event that changed it last.
    last: Event,
    /// A stored snapshot of the branch's head: it goes when the next is written.
    saved: Option<u64>,
    dirty: bool,
    used: u64,
}

/// A generation that is kept up. The runner follows with one, a rebuild fills one.
pub(super) struct Lane {
    pub(super) fold: Arc<Fold>,
    pub(super) built: Built,
    hot: HashMap<Key, Hot>,
    parked: HashMap<Key, ParkedRow>,
    /// Every key's snapshot holds its events up to here: what the stored row of the generation says.
    stored: u64,
    pending: Marks,
    pub(super) raises: Vec<Raise>,
    clock: u64,
    dirty: usize,
    moved: bool,
    /// Events up to here were reacted to before: by what a rebuild replaces.
    pub(super) reacted: u64,
}

impl Lane {
    pub(super) fn new(reader: &Reader, fold: Arc<Fold>, built: Built) -> Result<Self> {
        let mut parked = HashMap::new();
        let marks = reader.marks()?;
        let prefix = keys::parkings_of(&fold.name, built.generation);
        for row in marks.rows(Shelf::Checkpoints, &Rows::under(&prefix, usize::MAX))? {
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
            pending: Marks::new(),
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
            Scope::Branch => {
                let branch = branch()?;
                self.take_branch(reader, &branch, event)
            }
            Scope::Session | Scope::Key => self.take_key(reader, event),
        };
        taken?;
        self.built.position = position;
        self.moved = true;
        Ok(())
    }

    /// An event of a branch, in the order of its sequences.
    pub(super) fn take_branch(&mut self, reader: &Reader, branch: &Branch, event: &Event) -> Result<()> {
        let key = Key::Branch(branch.number);
        if self.is_parked(&key) {
            return Ok(());
        }
        let sequence = event.sequence().get();
        let mut hot = match self.hot.remove(&key) {
            Some(hot) => hot,
            None => match self.load_branch(reader, branch, event) {
                Ok(hot) => hot,
                Err(Stop::Error(e)) => return Err(e),
                // An ancestor has it, so this branch cannot go past it either.
                Err(stop) => {
                    self.park(key, event, stop);
                    return Ok(());
                }
            },
        };
        if hot.at < sequence {
            debug_assert_eq!(hot.at + 1, sequence, "the events of a branch come without holes");
            if let Err(reason) = self.apply(&mut hot, event) {
                self.dirty -= usize::from(hot.dirty);
                self.park(key, event, Stop::failed(event, reason));
                return Ok(());
            }
            hot.at = sequence;
            if sequence.is_multiple_of(SNAPSHOT_SPACING) {
                self.dirty -= usize::from(std::mem::take(&mut hot.dirty));
                if !self.snapshot(&key, &mut hot) {
                    return Ok(());
                }
            } else if !std::mem::replace(&mut hot.dirty, true) {
                self.dirty += 1;
            }
        }
        self.keep(key, hot);
        Ok(())
    }

    /// An event of a session or a key, in global order.
    pub(super) fn take_key(&mut self, reader: &Reader, event: &Event) -> Result<()> {
        let Some(text) = self.fold.text_key(event) else { return Ok(()) };
        let key = Key::Text(text);
        let Key::Text(text) = &key else { return Ok(()) };
        if self.is_parked(&key) {
            return Ok(());
        }
        let position = event.position().get();
        let mut hot = match self.hot.remove(&key) {
            Some(hot) => hot,
            None => {
                let source =
                    Source::of(reader, &self.fold, Built { position: self.stored, ..self.built.clone() })?;
                let stored = source.keyed_from_snapshot(text, position - 1);
                match stored {
                    Ok(found) => self.warm(found, event),
                    Err(Stop::Error(e)) => return Err(e),
                    Err(stop) => {
                        self.park(key, event, stop);
                        return Ok(());
                    }
                }
            }
        };
        if hot.at < position {
            if let Err(reason) = self.apply(&mut hot, event) {
                self.dirty -= usize::from(hot.dirty);
                self.park(key, event, Stop::failed(event, reason));
                return Ok(());
            }
            hot.at = position;
            if !std::mem::replace(&mut hot.dirty, true) {
                self.dirty += 1;
            }
        }
        self.keep(key, hot);
        Ok(())
    }

    fn load_branch(&self, reader: &Reader, branch: &Branch, event: &Event) -> Result<Hot, Stop> {
        let source = Source::of(reader, &self.fold, self.built.clone())?;
        let before = event.sequence().get() - 1;
        let found = source.branch(branch, before)?;
        // Only the head's snapshot goes when the next is written; those on the grid stay.
        let saved = found.snapshot.filter(|at| !at.is_multiple_of(SNAPSHOT_SPACING));
        Ok(Hot { saved, ..self.warm(found, event) })
    }

    fn warm(&self, found: Found, event: &Event) -> Hot {
        Hot {
            state: found.state,
            at: found.at,
            last: event.clone(),
            saved: None,
            dirty: false,
            used: self.clock,
        }
    }

    fn apply(&mut self, hot: &mut Hot, event: &Event) -> Result<(), String> {
        hot.last = event.clone();
        if !self.fold.reacts || event.position().get() <= self.reacted {
            return self.fold.step(&mut hot.state, event).map(drop);
        }
        for emit in self.fold.step_and_react(&mut hot.state, event)? {
            self.raises.push(Raise::new(&self.fold.name, emit, event));
        }
        Ok(())
    }

    fn keep(&mut self, key: Key, mut hot: Hot) {
        self.clock += 1;
        hot.used = self.clock;
        self.hot.insert(key, hot);
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
        tracing::warn!(projection = self.fold.name, of = row.of, at = row.at, reason = row.reason, "parked");
        let mark = keys::parking(&self.fold.name, self.built.generation, &key);
        self.pending.put(Shelf::Checkpoints, mark, to_json(&row));
        self.parked.insert(key, row);
    }

    pub(super) fn unpark(&mut self, key: &Key) {
        self.parked.remove(key);
        self.pending.remove(Shelf::Checkpoints, keys::parking(&self.fold.name, self.built.generation, key));
    }

    /// Puts the state of a branch among what is to be written. `false` when it cannot be written, and is parked.
    fn snapshot(&mut self, key: &Key, hot: &mut Hot) -> bool {
        match self.fold.encode(&hot.state) {
            Err(reason) => {
                let last = hot.last.clone();
                self.park(key.clone(), &last, Stop::failed(&last, reason));
                false
            }
            Ok(json) => {
                let generation = self.built.generation;
                if let Some(old) = hot.saved.take().filter(|old| *old != hot.at) {
                    self.pending.remove(Shelf::Snapshots, keys::state(&self.fold.name, generation, key, old));
                }
                let row = match key {
                    Key::Branch(_) => json,
                    Key::Text(_) => [&hot.at.to_be_bytes()[..], &json].concat(),
                };
                self.pending.put(
                    Shelf::Snapshots,
                    keys::state(&self.fold.name, generation, key, hot.at),
                    row,
                );
                hot.saved = matches!(key, Key::Branch(_))
                    .then_some(hot.at)
                    .filter(|at| !at.is_multiple_of(SNAPSHOT_SPACING));
                true
            }
        }
    }

    /// Everything that is to be written in one transaction: snapshots, and how far this generation is. With `heads`
    /// also those of branches; keys are always complete, as the position speaks for them.
    pub(super) fn take(&mut self, heads: bool) -> Marks {
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
