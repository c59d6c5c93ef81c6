//! The spill: where events go while the store cannot write, because its disk is full or has failed. One line of JSON
//! an event, synced before it counts; and from there into the store once that can write again.

mod aside;
mod drain;
mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use self::aside::Aside;
use self::drain::Drain;
use self::file::Held;
use super::line;
use crate::error::{Error, Result};
use crate::event::{Address, Invalid, NewEvent, Place};
use crate::limits::{MAX_SPILL_BYTES, SPILL_BYTES};
use crate::store::{Process, Store, StoreHandle, unblocked};

pub use drain::Drained;

/// A file for events that the store cannot take at the moment. It is made with its first event and goes when it was
/// drained. Clones share their figures. Several handles, of several processes too, can use the same file; a forked child makes one of its own, as
/// its parent's is refused there.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use retold::bus::Spill;
/// use retold::{NewEvent, Store};
/// let store = Store::open(dir.path().join("runs.redb"))?;
/// let spill = Spill::beside(&store).expect("the store has a file");
/// let event = NewEvent::new("step.done");
/// // The store said `Unknown`, say: the event may be there or not.
/// store.append("run-7", event.clone())?;
/// spill.put("run-7", &event)?;
/// // By its id it is known again.
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
    /// Held while the file is read or written: where a file system has no locks, threads of this handle still take turns.
    turn: Arc<Mutex<()>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    stats: SpillStats,
    /// Something was put since it was last drained: it was warned of.
    in_use: bool,
    /// Something did not fit since then.
    full: bool,
    /// The last draining ended at the file, not at the store.
    out_of_order: bool,
}

impl State {
    /// The outage is; the next one is warned of again.
    fn is_over(&mut self) {
        (self.in_use, self.full) = (false, false);
    }
}

/// What one handle has done, and how many bytes wait in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillStats {
    /// Bytes in the file.
    pub waiting_bytes: u64,
    /// Events that were put into it.
    pub put: u64,
    /// Events that it could not take: it was full, or could not be written either. They are lost to it.
    pub dropped: u64,
    /// Events that were recorded from it.
    pub recorded: u64,
    /// Events in it that were recorded already.
    pub known: u64,
    /// Lines that were set aside.
    pub set_aside: u64,
}

impl Spill {
    /// The spill beside a store's file: `runs.redb.spill.ndjson`. `None` for a store that lives in memory, which has
    /// nothing beside it; give it a path with [`at`](Self::at).
    #[must_use]
    pub fn beside(store: &Store) -> Option<Self> {
        Self::beside_file(&store.handle())
    }

    pub(crate) fn beside_file(handle: &StoreHandle) -> Option<Self> {
        let mut path = handle.path()?.as_os_str().to_owned();
        path.push(".spill.ndjson");
        Some(Self::at(path))
    }

    /// A spill in this file, which is made when it is needed.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            process: Process::this(),
            path: path.into(),
            limit: SPILL_BYTES,
            turn: Arc::default(),
            state: Arc::default(),
        }
    }

    /// The most bytes that the file may have; 64 MiB unless said.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 1 GiB.
    pub fn limit(mut self, bytes: u64) -> Result<Self> {
        if bytes > MAX_SPILL_BYTES {
            let reason = format!("is {bytes} bytes; {MAX_SPILL_BYTES} are the most");
            return Err(Invalid::new("spill limit", reason).into());
        }
        self.limit = bytes;
        Ok(self)
    }

    /// Where the file is, or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where lines go that cannot be recorded.
    #[must_use]
    pub fn refused_path(&self) -> PathBuf {
        aside::path(&self.path)
    }

    /// Keeps an event until it can be recorded. When this returns, it is on the disk. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an event that no store would take; [`Error::TooLarge`] when the file is full, and
    /// [`Error::Storage`] when it cannot be written: the event is counted as dropped.
    pub fn put<A>(&self, address: A, event: &NewEvent) -> Result<()>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        let place = address.branch_only("events are appended to a branch")?;
        let line = line::print(place, event)?;
        self.put_lines(&[line]).map(|_| ())
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
        unblocked(move || spill.put_lines(&[line]).map(|_| ())).await
    }

    /// Keeps several events with one sync, in this order, as many from the first on as there is room for. Says how
    /// many those are; the others are counted as dropped.
    ///
    /// # Errors
    /// As [`put`](Self::put). [`Error::Invalid`] when any of them is; then none is kept.
    pub(crate) fn put_all<'a>(
        &self,
        events: impl IntoIterator<Item = (&'a Place, &'a NewEvent)>,
    ) -> Result<usize> {
        let lines: Result<Vec<Vec<u8>>, Invalid> =
            events.into_iter().map(|(place, event)| line::print(place, event)).collect();
        self.put_lines(&lines?)
    }

    fn put_lines(&self, lines: &[Vec<u8>]) -> Result<usize> {
        self.process.check()?;
        let put = self.write(lines);
        let mut state = self.state();
        let taken = *put.as_ref().unwrap_or(&0);
        state.stats.put += taken as u64;
        state.stats.dropped += (lines.len() - taken) as u64;
        if taken > 0 && !std::mem::replace(&mut state.in_use, true) {
            warn!(path = %self.path.display(), "the store cannot write: events go to its spill until it can");
        }
        if taken < lines.len() && !std::mem::replace(&mut state.full, true) {
            let error = put.as_ref().err().map(ToString::to_string);
            warn!(path = %self.path.display(), error, limit = self.limit, "events do not fit into the spill: they are dropped and counted");
        }
        put
    }

    fn write(&self, lines: &[Vec<u8>]) -> Result<usize> {
        if lines.is_empty() {
            return Ok(0);
        }
        let _turn = self.turn();
        let mut held = Held::open(&self.path, true)
            .and_then(|held| held.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|e| self.failed(&e))?;
        let mut size = held.len().map_err(|e| self.failed(&e))?;
        let mut text = Vec::new();
        let mut taken = 0;
        for line in lines {
            // A line break more, in case that the last line has none.
            size += line.len() as u64 + 1;
            if size + 1 > self.limit {
                break;
            }
            text.extend_from_slice(line);
            text.push(b'\n');
            taken += 1;
        }
        if taken == 0 {
            let what = format!("the spill {} with one event more", self.path.display());
            return Err(Error::TooLarge { what, size, limit: self.limit });
        }
        held.append(&text).map_err(|e| self.failed(&e))?;
        Ok(taken)
    }

    /// Records what waits, in order, and takes the file away. What is recorded already is recognised by its id, so a
    /// draining that is cut short, by a crash too, is simply done again. What is no event or is refused by the store
    /// is kept in `….refused` with the reason, and told as a warning. Puts wait meanwhile. Blocks.
    ///
    /// # Errors
    /// Those of [`append`](Store::append) that are about the store, and [`Error::Storage`] for the file: everything
    /// that waits still does.
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
        self.process.check()?;
        let mut at_the_store = false;
        let drained = self.try_drain(handle, &mut at_the_store);
        self.state().out_of_order = drained.is_err() && !at_the_store;
        drained
    }

    /// Whether the last draining could not read the file, or could not keep what it refused. The store may be well.
    pub(in crate::bus) fn is_out_of_order(&self) -> bool {
        self.state().out_of_order
    }

    fn try_drain(&self, handle: &StoreHandle, at_the_store: &mut bool) -> Result<Drained> {
        let _turn = self.turn();
        let held = Held::open(&self.path, false).map_err(|e| self.failed(&e))?;
        let Some(held) = held else {
            self.state().is_over();
            return Ok(Drained::default());
        };
        let mut aside = Aside::of(&self.path, self.limit);
        let mut drain = Drain::new(handle, &mut aside);
        let file = held.read().map_err(|e| self.failed(&e))?;
        let taken = drain.take(file, self.limit, |e| self.failed(&e));
        *at_the_store = drain.at_the_store;
        let mut done = drain.done;
        if let Err(e) = taken.and_then(|()| aside.write()) {
            aside.take_back();
            return Err(e);
        }
        done.set_aside = aside.count;
        held.remove().map_err(|e| self.failed(&e))?;
        let mut state = self.state();
        state.is_over();
        state.stats.recorded += done.recorded;
        state.stats.known += done.known;
        state.stats.set_aside += done.set_aside;
        info!(path = %self.path.display(), recorded = done.recorded, known = done.known, "the spill was drained");
        if let Some(first) = &aside.first {
            let path = aside.path().display();
            warn!(%path, lines = done.set_aside, first, "lines of the spill cannot be recorded and were set aside");
        }
        Ok(done)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    fn waiting_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    /// Its figures; in a forked child only how much waits.
    #[must_use]
    pub fn stats(&self) -> SpillStats {
        let stats = if self.process.is_this() { self.state().stats } else { SpillStats::default() };
        SpillStats { waiting_bytes: self.waiting_bytes(), ..stats }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, e: &io::Error) -> Error {
        Error::storage(format!("the spill {} failed: {e}", self.path.display()))
    }
}
