//! A store as one process of many has it: the file engine while it owns the file, a client of the owner, or of a server,
//! otherwise. All handles that this process has on the file share one of these.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::reader::{SharingReader, Slot};
use super::seats::{Inside, Seat, Seated, Seats};
use crate::engine::Durability;
use crate::engine::commit::{Commit, Outcome};
use crate::engine::file::Options;
use crate::engine::identity::Identity;
use crate::engine::process::Process;
use crate::engine::rank::Rank;
use crate::engine::watch::{Committed, Watcher};
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::limits::LEAST_ANSWER_MS;
use crate::sync::{Mutex, lock};

/// How a process takes part in a store.
#[derive(Clone, Debug)]
pub(crate) struct SharingConfig {
    pub(crate) rank: Rank,
    pub(crate) exclusive: bool,
    /// How long to wait for a store that cannot be had, and for an owner that does not answer.
    pub(crate) wait: Duration,
    /// How this process calls itself.
    pub(crate) program: String,
    pub(crate) payload_bytes: usize,
    /// What clients get at the least.
    pub(crate) durability: Durability,
    pub(crate) file: Options,
    /// How the store is named in messages.
    pub(crate) name: String,
}

impl SharingConfig {
    /// How long an owner may say nothing: one that is busy needs a moment, however little patience there is.
    pub(crate) fn answer_wait(&self) -> Duration {
        self.wait.max(Duration::from_millis(LEAST_ANSWER_MS))
    }
}

#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) process: Process,
    pub(crate) config: SharingConfig,
    pub(crate) seats: Arc<Seats>,
    watching: Watching,
    relay: OnceLock<Arc<dyn Watcher>>,
    /// The readers that are there, so that they let go of the file.
    slots: Mutex<Vec<Weak<Slot>>>,
    /// Handles that are open. The last one closes the store, and then there can be no other.
    handles: Mutex<Option<usize>>,
}

/// Passes on what an engine tells, but not that it closes: another may follow it.
#[derive(Debug)]
struct Relay(Weak<Sharing>);

impl Watcher for Relay {
    fn committed(&self, commit: &Committed<'_>) {
        if let Some(sharing) = self.0.upgrade() {
            sharing.watching.committed(commit);
        }
    }

    fn closed(&self) {}
}

impl Sharing {
    pub(crate) fn new(config: SharingConfig) -> Arc<Self> {
        let sharing = Arc::new(Self {
            process: Process::this(),
            config,
            seats: Arc::default(),
            watching: Watching::default(),
            relay: OnceLock::new(),
            slots: Mutex::default(),
            handles: Mutex::new(Some(0)),
        });
        let relay: Arc<dyn Watcher> = Arc::new(Relay(Arc::downgrade(&sharing)));
        let _ = sharing.relay.set(relay);
        sharing
    }

    /// One more handle; `false` if the last one has been closed already.
    pub(crate) fn join(&self) -> bool {
        let mut handles = lock(&self.handles);
        *handles = handles.map(|handles| handles + 1);
        handles.is_some()
    }

    /// One handle less; `true` for the last.
    pub(crate) fn part(&self) -> bool {
        let mut handles = lock(&self.handles);
        *handles = handles.and_then(|handles| handles.checked_sub(1)).filter(|handles| *handles > 0);
        handles.is_none()
    }

    /// From here on calls go to this engine. Watchers look at the store: they have not seen what came before.
    pub(crate) fn seat(&self, seated: Seated) {
        if let Some(relay) = self.relay.get() {
            seated.engine.watch(relay);
        }
        self.release_readers();
        self.seats.set(Seat::Taken(seated));
        self.look();
    }

    /// Tells the watchers that something may have been committed.
    pub(crate) fn look(&self) {
        self.watching.committed(&Committed::new(&[], &[], &[]));
    }

    /// No call goes to the engine of this epoch any more, and nothing of it is kept.
    pub(crate) fn leave(&self, epoch: u64, within: Duration) {
        self.committed();
        if self.seats.leave(epoch) && !self.seats.emptied(within) {
            tracing::warn!("calls are still waiting in the store as it is handed over");
        }
        self.release_readers();
    }

    /// The readers of the engine before let go of it.
    pub(crate) fn release_readers(&self) {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).iter().filter_map(Weak::upgrade).collect();
        slots.iter().for_each(|slot| slot.take());
    }

    /// No commit will follow.
    pub(crate) fn ended(&self) {
        self.seats.set(Seat::Closed);
        self.watching.closed();
    }

    pub(crate) fn watch(&self, watcher: &Arc<dyn Watcher>) {
        self.watching.add(watcher);
    }

    pub(crate) fn committed(&self) -> Position {
        if self.process.is_this() { self.seats.committed() } else { Position::ZERO }
    }

    pub(crate) fn opening(&self) -> Option<EventId> {
        self.process.is_this().then(|| self.seats.now()).flatten().map(|seated| seated.engine.opening())
    }

    pub(crate) fn reader(&self, identity: Arc<Identity>) -> Result<SharingReader> {
        self.process.check()?;
        let slot = Arc::<Slot>::default();
        {
            let mut slots = lock(&self.slots);
            slots.retain(|slot| slot.strong_count() > 0);
            slots.push(Arc::downgrade(&slot));
        }
        let (process, seats) = (self.process.clone(), self.seats.clone());
        let reader = SharingReader { process, identity, seats, slot };
        // It can be read even when the store is closed now.
        reader.begin()?;
        Ok(reader)
    }

    /// Whether a commit is made again on the next engine: it was not written, or, when that is unknown, it is recognised if
    /// it was. An append is left to its caller, who gave its events their ids.
    fn is_repeated(&self, inside: &Inside<'_>, commit: &Commit, outcome: &Result<Outcome>) -> bool {
        match outcome {
            Err(Error::OwnerLost { .. }) => true,
            Err(Error::Unknown { .. }) => {
                let Commit::Records(records) = commit else { return false };
                inside.is_over() && records.is_recognised()
            }
            _ => false,
        }
    }

    pub(crate) fn commit(&self, mut commit: Commit) -> Result<Outcome> {
        self.process.check()?;
        let mut past = None;
        loop {
            let inside = self.seats.wait(past)?;
            let outlives = commit.outlives_its_engine();
            let again = (inside.seated.remote || outlives).then(|| commit.clone());
            let outcome = inside.seated.engine.commit(commit);
            let outcome = self.judged(&inside, outlives, outcome);
            match again.filter(|again| self.is_repeated(&inside, again, &outcome)) {
                Some(again) => (commit, past) = (again, Some(inside.seated.epoch)),
                None => return outcome,
            }
        }
    }

    /// [`commit`](Self::commit) for tasks.
    pub(crate) async fn submit(&self, mut commit: Commit) -> Result<Outcome> {
        self.process.check()?;
        let mut past = None;
        loop {
            let inside = self.seats.wait_async(past).await?;
            let outlives = commit.outlives_its_engine();
            let again = (inside.seated.remote || outlives).then(|| commit.clone());
            let outcome = inside.seated.engine.submit(commit).await;
            let outcome = self.judged(&inside, outlives, outcome);
            match again.filter(|again| self.is_repeated(&inside, again, &outcome)) {
                Some(again) => (commit, past) = (again, Some(inside.seated.epoch)),
                None => return outcome,
            }
        }
    }

    /// A commit that waited too long for its turn while the store was handed over, or whose turn came after the storage had
    /// failed, was not written. Nor was one that the storage refused as it failed, of which nobody is told but the callers of
    /// appends.
    fn judged(&self, inside: &Inside<'_>, outlives: bool, outcome: Result<Outcome>) -> Result<Outcome> {
        let is_lost = match &outcome {
            Err(Error::Closed { .. }) => true,
            Err(Error::Storage { .. }) => outlives,
            _ => false,
        };
        match is_lost && !self.seats.is_closed() && inside.is_over() {
            true => Err(Error::OwnerLost { owner: std::process::id() }),
            false => outcome,
        }
    }
}
