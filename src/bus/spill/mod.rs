//! The spill: where events go while the store cannot be written, because its disk is full or has failed. One line of
//! JSON per event, synced before it counts; drained into the store once that can be written again.

mod aside;
mod drain;
mod file;
mod reserved;
mod rest;
mod space;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use self::aside::Aside;
use self::drain::Drain;
use self::file::{Held, beside};
use self::reserved::{Reserved, reserved};
use self::rest::Rest;
use super::line;
use crate::error::{Error, Result};
use crate::event::{Address, Invalid, NewEvent, Place};
use crate::limits::{MAX_SPILL_BYTES, SPILL_BYTES};
use crate::store::{Process, Store, StoreHandle, unblocked};
use crate::sync::{Mutex, MutexGuard, lock};

pub use drain::Drained;

/// A file for events that the store cannot take at the moment. It is made with its first event and goes when it was
/// drained. Clones share their figures. Several handles, of several processes too, can use the same file; a forked child makes one of its own, as
/// its parent's is refused there.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use retold::bus::spill::Spill;
/// use retold::{NewEvent, Store};
/// let store = Store::open(dir.path().join("runs.redb"))?;
/// let spill = Spill::beside(&store).expect("the store has a file");
/// let event = NewEvent::new("step.done");
/// // The store returned `Unknown`, say: the event may be recorded or not.
/// store.append("run-7", event.clone())?;
/// spill.put("run-7", &event)?;
/// // It is deduplicated by its id.
/// assert_eq!(spill.drain(&store)?.known, 1);
/// assert!(spill.is_empty());
/// # store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Spill {
    process: Process,
    path: PathBuf,
    limit: u64,
    reserve: u64,
    /// Held while the file is read or written: where a file system has no locks, threads of this handle still take turns.
    turn: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
    /// Says to other handles that this one has room reserved.
    reserved: Arc<Mutex<Option<Reserved>>>,
}

#[derive(Debug, Default)]
struct State {
    stats: SpillStats,
    /// Something was put since it was last drained, and a warning was logged.
    in_use: bool,
    /// Something did not fit since then.
    full: bool,
    /// The last drain failed because of the file, not the store.
    out_of_order: bool,
    /// The disk had no room for what is to be reserved, and a warning was logged.
    unreserved: bool,
}

impl State {
    /// The outage is over; the next one is logged again.
    fn is_over(&mut self) {
        (self.in_use, self.full) = (false, false);
    }
}

/// Statistics of one handle, and the size of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillStats {
    /// Bytes in the file.
    pub waiting_bytes: u64,
    /// Bytes of the disk that are reserved for the file, those that are in use among them.
    pub reserved_bytes: u64,
    /// Events that were put into it.
    pub put: u64,
    /// Events that were dropped because the file was full, or could not be written either.
    pub dropped: u64,
    /// Events that were recorded from it.
    pub recorded: u64,
    /// Events in it that were already recorded.
    pub known: u64,
    /// Lines that were moved to the file of refused lines.
    pub set_aside: u64,
}

impl Spill {
    /// The spill beside a store's file: `runs.redb.spill.ndjson`. `None` for a store in memory; give its spill a path
    /// with [`at`](Self::at).
    #[must_use]
    pub fn beside(store: &Store) -> Option<Self> {
        Self::beside_file(&store.handle())
    }

    pub(crate) fn beside_file(handle: &StoreHandle) -> Option<Self> {
        Some(Self::at(beside(handle.path()?, ".spill.ndjson")))
    }

    /// A spill in this file, which is created when it is needed.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            process: Process::this(),
            path: path.into(),
            limit: SPILL_BYTES,
            reserve: 0,
            turn: Arc::default(),
            state: Arc::default(),
            reserved: Arc::default(),
        }
    }

    /// The maximum size of the file in bytes; 64 MiB by default.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 1 GiB.
    pub fn limit(mut self, bytes: u64) -> Result<Self> {
        if bytes > MAX_SPILL_BYTES {
            let reason = format!("is {bytes} bytes; the limit is {MAX_SPILL_BYTES}");
            return Err(Invalid::new("spill limit", reason).into());
        }
        self.limit = bytes;
        Ok(self)
    }

    /// Takes so many bytes of the disk for the file beforehand, when [`prepare`](Self::prepare) is called, so that there is
    /// room when the disk of the store has filled up and the file is on the same. The file then stays when it is drained.
    /// 0 by default; a bus reserves 4 MiB. Linux and Android only.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than the [`limit`](Self::limit), which is set before.
    pub fn reserve(mut self, bytes: u64) -> Result<Self> {
        if bytes > self.limit {
            let reason = format!("is {bytes} bytes; the limit of the file is {}", self.limit);
            return Err(Invalid::new("spill reserve", reason).into());
        }
        self.reserve = bytes;
        Ok(self)
    }

    /// Makes the file with what is to be reserved for it, if anything is. Blocks.
    ///
    /// # Errors
    /// [`Error::Storage`] when the disk has no room, or the file cannot be made: what is put still goes there, as far as it
    /// fits.
    pub fn prepare(&self) -> Result<()> {
        self.process.check()?;
        if self.reserve == 0 {
            return Ok(());
        }
        let _turn = self.turn();
        let taken = Reserved::take(&self.path, self.reserve).map_err(|e| self.failed(&e))?;
        lock(&self.reserved).get_or_insert(taken);
        let held = Held::open(&self.path, true).map_err(|e| self.failed(&e))?;
        held.map_or(Ok(()), |held| self.reserve_for(&held))
    }

    /// What this handle has reserved, or another.
    fn to_reserve(&self) -> u64 {
        self.reserve.max(reserved(&self.path))
    }

    fn reserve_for(&self, held: &Held) -> Result<()> {
        let reserved = held.reserve(self.to_reserve());
        let mut state = self.state();
        state.stats.reserved_bytes = if matches!(reserved, Ok(true)) { self.reserve } else { 0 };
        let is_told = std::mem::replace(&mut state.unreserved, reserved.is_err());
        drop(state);
        if let (Err(error), false) = (&reserved, is_told) {
            let (path, bytes) = (self.path.display(), self.reserve);
            warn!(%path, bytes, %error, "no room can be reserved for the spill: a full disk leaves none for it");
        }
        reserved.map(drop).map_err(|e| self.failed(&e))
    }

    /// What was reserved is given back: an empty file is removed, unless another handle has room reserved there.
    pub(in crate::bus) fn give_back(&self) {
        let _turn = self.turn();
        let reserved = lock(&self.reserved).take();
        let Some(reserved) = reserved else { return };
        self.state().stats.reserved_bytes = 0;
        // Held until the file is gone: nobody reserves anything meanwhile.
        let Ok(Some(_unreserved)) = reserved.give_back() else { return };
        let Ok(Some(held)) = Held::open(&self.path, false) else { return };
        if held.len().is_ok_and(|len| len == 0) {
            let _ = held.remove();
        }
    }

    /// Where the file is, or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file for lines that cannot be recorded.
    #[must_use]
    pub fn refused_path(&self) -> PathBuf {
        aside::path(&self.path)
    }

    /// Stores an event until it can be recorded. When this returns, it is on disk. Blocks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an event that no store would accept; [`Error::TooLarge`] if the file is full, and
    /// [`Error::Storage`] if it cannot be written: the event is counted as dropped.
    pub fn put<A>(&self, address: A, event: &NewEvent) -> Result<()>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address.branch_only("events can only be appended to a branch")?;
        let line = line::print(place, event)?;
        self.put_one(line)
    }

    /// [`put`](Self::put) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_async<A>(&self, address: A, event: &NewEvent) -> Result<()>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.process.check()?;
        let address: Address = address.try_into()?;
        let line = line::print(address.branch_only("events are appended to a branch")?, event)?;
        let spill = self.clone();
        unblocked(move || spill.put_one(line)).await
    }

    fn put_one(&self, line: Vec<u8>) -> Result<()> {
        let put = self.put_lines(std::iter::once(Ok(line)), false, false);
        put.map(drop).inspect_err(|error| self.has_dropped(1, error))
    }

    /// Keeps the last of these events with one sync, in their order, as many as there is room for. Says how many those are.
    /// `first`: before what is in the file, which is newer. No more are looked at than there is room for.
    ///
    /// # Errors
    /// As [`put`](Self::put), but nothing is counted as dropped. [`Error::Invalid`] if any of them is invalid; then none is
    /// stored.
    pub(crate) fn put_last<'a>(
        &self,
        events: impl DoubleEndedIterator<Item = (&'a Place, &'a NewEvent)>,
        first: bool,
    ) -> Result<usize> {
        let lines = events.rev().map(|(place, event)| Ok(line::print(place, event)?));
        self.put_lines(lines, true, first)
    }

    /// Events were lost that are neither in the store nor here.
    pub(in crate::bus) fn has_dropped(&self, events: usize, error: &Error) {
        let mut state = self.state();
        state.stats.dropped += events as u64;
        if !std::mem::replace(&mut state.full, true) {
            warn!(path = %self.path.display(), %error, limit = self.limit, "events do not fit into the spill: they are dropped and counted");
        }
    }

    /// `backwards`: they come in the opposite of their order.
    fn put_lines(
        &self,
        lines: impl Iterator<Item = Result<Vec<u8>>>,
        backwards: bool,
        first: bool,
    ) -> Result<usize> {
        self.process.check()?;
        let put = self.write(lines, backwards, first)?;
        let mut state = self.state();
        state.stats.put += put as u64;
        if put > 0 && !std::mem::replace(&mut state.in_use, true) {
            warn!(path = %self.path.display(), "the store cannot be written: events go to its spill until it can");
        }
        Ok(put)
    }

    fn write(
        &self,
        lines: impl Iterator<Item = Result<Vec<u8>>>,
        backwards: bool,
        first: bool,
    ) -> Result<usize> {
        let mut lines = lines.peekable();
        if lines.peek().is_none() {
            return Ok(0);
        }
        let _turn = self.turn();
        let mut held = Held::open(&self.path, true)
            .and_then(|held| held.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|e| self.failed(&e))?;
        let mut size = held.len().map_err(|e| self.failed(&e))?;
        if size == 0 && self.to_reserve() > 0 {
            // Somebody may have drained and removed it; when there is no room, what is put may fit all the same.
            let _ = self.reserve_for(&held);
        }
        let mut taken = Vec::new();
        for line in lines {
            let line = line?;
            // An extra newline, in case the last line has none.
            size += line.len() as u64 + 1;
            if size + 1 > self.limit {
                break;
            }
            taken.push(line);
        }
        if taken.is_empty() {
            let what = format!("the spill {} with one more event", self.path.display());
            return Err(Error::TooLarge { what, size, limit: self.limit });
        }
        if backwards {
            taken.reverse();
        }
        let mut text = taken.join(&b'\n');
        text.push(b'\n');
        // Where it cannot be written anew, they come behind: that is better than nowhere.
        if first && self.write_first(&held, &text).unwrap_or(false) {
            return Ok(taken.len());
        }
        held.append(&text).map_err(|e| {
            // Undoing it has given back what was reserved beyond the end.
            if self.to_reserve() > 0 {
                let _ = self.reserve_for(&held);
            }
            self.failed(&e)
        })?;
        Ok(taken.len())
    }

    /// Writes the file anew, with these lines before those that are there. `false` when there are none.
    fn write_first(&self, held: &Held, lines: &[u8]) -> Result<bool> {
        if held.len().map_err(|e| self.failed(&e))? == 0 {
            return Ok(false);
        }
        let mut rest = Rest::of(&self.path);
        rest.copy(lines)?;
        rest.copy(held.read().map_err(|e| self.failed(&e))?)?;
        let is_there = rest.replace()?;
        if self.to_reserve() > 0 {
            // It is another file now.
            let held = Held::open(&self.path, false).map_err(|e| self.failed(&e))?;
            let _ = held.map_or(Ok(()), |held| self.reserve_for(&held));
        }
        Ok(is_there)
    }

    /// Records the stored events in order, and removes the file. Events that are already recorded are deduplicated by
    /// id, so an interrupted drain, even by a crash, is simply repeated. A line that is not an event, or that the store
    /// refuses, is moved to `….refused` with the reason, and logged as a warning. Events of a branch that is damaged stay
    /// in the file, in order, and hold up no others. Puts wait in the meantime. Blocks.
    ///
    /// # Errors
    /// Those of [`append`](Store::append) that are about the store, and [`Error::Storage`] for the file: whatever was
    /// not recorded stays in the file.
    pub fn drain(&self, store: &Store) -> Result<Drained> {
        self.drain_to(&store.handle())
    }

    /// [`drain`](Self::drain) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn drain_async(&self, store: &Store) -> Result<Drained> {
        self.process.check()?;
        let (spill, handle) = (self.clone(), store.handle());
        unblocked(move || spill.drain_to(&handle)).await
    }

    pub(crate) fn drain_to(&self, handle: &StoreHandle) -> Result<Drained> {
        self.drain_but(handle).map(|(drained, _)| drained)
    }

    /// [`drain_to`](Self::drain_to), with the branches of what stays in it.
    pub(in crate::bus) fn drain_but(&self, handle: &StoreHandle) -> Result<(Drained, HashSet<Place>)> {
        self.process.check()?;
        let mut at_the_store = false;
        let drained = self.try_drain(handle, &mut at_the_store);
        self.state().out_of_order = drained.is_err() && !at_the_store;
        drained
    }

    /// Whether the last drain could not read the file, or could not write refused lines. The store may be fine.
    pub(in crate::bus) fn is_out_of_order(&self) -> bool {
        self.state().out_of_order
    }

    fn try_drain(&self, handle: &StoreHandle, at_the_store: &mut bool) -> Result<(Drained, HashSet<Place>)> {
        let _turn = self.turn();
        let held = Held::open(&self.path, false).map_err(|e| self.failed(&e))?;
        let Some(held) = held else {
            self.state().is_over();
            return Ok(Default::default());
        };
        let mut aside = Aside::of(&self.path, self.limit);
        let mut rest = Rest::of(&self.path);
        let mut drain = Drain::new(handle, &mut aside, &mut rest);
        let file = held.read().map_err(|e| self.failed(&e))?;
        let taken = drain.take(file, self.limit, |e| self.failed(&e));
        *at_the_store = drain.at_the_store;
        let (mut done, damaged) = (drain.done, drain.damaged);
        done.set_aside = aside.count;
        // When nothing could be recorded, what is there is the rest.
        let is_same = done.held > 0 && done.recorded + done.known + done.set_aside == 0;
        let left = taken
            .and_then(|()| aside.write())
            .and_then(|()| if is_same { Ok(()) } else { self.leave(held, rest) });
        if let Err(e) = left {
            aside.take_back();
            return Err(e);
        }
        let mut state = self.state();
        state.is_over();
        state.stats.recorded += done.recorded;
        state.stats.known += done.known;
        state.stats.set_aside += done.set_aside;
        if !is_same {
            let (path, held) = (self.path.display(), done.held);
            info!(%path, recorded = done.recorded, known = done.known, held, "the spill was drained");
        }
        if let Some(first) = &aside.first {
            let path = aside.path().display();
            warn!(%path, lines = done.set_aside, first, "lines of the spill cannot be recorded and were moved aside");
        }
        Ok((done, damaged))
    }

    /// Leaves the rest in the file, or nothing.
    fn leave(&self, held: Held, rest: Rest) -> Result<()> {
        let failed = |e: io::Error| self.failed(&e);
        match (rest.replace()?, self.to_reserve()) {
            (true, 0) => Ok(()),
            (false, 0) => held.remove().map_err(failed),
            (true, _) => {
                // It is another file now.
                let held = Held::open(&self.path, false).map_err(failed)?;
                let _ = held.map_or(Ok(()), |held| self.reserve_for(&held));
                Ok(())
            }
            (false, _) => {
                held.empty().map_err(failed)?;
                let _ = self.reserve_for(&held);
                Ok(())
            }
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    fn waiting_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// Its statistics; in a forked child only the size of the file.
    #[must_use]
    pub fn stats(&self) -> SpillStats {
        let stats = if self.process.is_this() { self.state().stats } else { SpillStats::default() };
        SpillStats { waiting_bytes: self.waiting_bytes(), ..stats }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn failed(&self, e: &io::Error) -> Error {
        Error::storage(format!("the spill {} failed: {e}", self.path.display()))
    }
}
