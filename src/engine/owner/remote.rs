//! A store that a server has, on whatever machine: a client of the server, which looks for it again when the connection is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::driver::told_by;
use super::greeting::Greeting;
use super::seats::{Seat, Seated};
use super::sharing::{Sharing, SharingConfig};
use crate::engine::file::Mode;
use crate::engine::identity::Identity;
use crate::engine::ownership::StoreOwner;
use crate::engine::port::Engine;
use crate::engine::shared::{ConnectError, Dialer, Hello, Reach, SharedEngine, dial};
use crate::error::{Error, Result};
use crate::event::StoreId;
use crate::limits::{HAND_OVER_MS, REMOTE_LONGEST_PAUSE_MS, REMOTE_PAUSE_MS};
use crate::sync::{Condvar, Mutex, lock};

const PAUSE: Duration = Duration::from_millis(REMOTE_PAUSE_MS);
/// A connection that lasts so long works.
const HEALTHY: Duration = Duration::from_millis(REMOTE_LONGEST_PAUSE_MS);
const LONGEST_PAUSE: Duration = Duration::from_millis(REMOTE_LONGEST_PAUSE_MS);

#[derive(Debug)]
pub(crate) struct Remote {
    sharing: Arc<Sharing>,
    dialer: Arc<dyn Dialer>,
    store: StoreId,
    client: Mutex<Option<Arc<SharedEngine>>>,
    greeting: Greeting,
    closing: AtomicBool,
    /// The epoch of the connection that was lost last.
    lost: (Mutex<u64>, Condvar),
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// Opens a store that a server has, and says what it is.
///
/// # Errors
/// [`Error::Unreachable`] when there is no server until then, and at once what waiting does not help.
pub(crate) fn open(
    dialer: Arc<dyn Dialer>,
    config: SharingConfig,
    until: Instant,
) -> Result<(Arc<Remote>, Identity)> {
    let mut pauses = 0..;
    let first = loop {
        match connect(&dialer, &config, None, (&Greeting::default(), &|| true)) {
            Ok(engine) => break engine,
            Err(e) if e.is_passing() && Instant::now() < until => {
                std::thread::sleep(pause(pauses.next().unwrap_or_default()));
            }
            Err(e) => return Err(e),
        }
    };
    if config.file.mode == Mode::CreateOnly {
        let _ = first.close();
        return Err(Error::Exists { what: "store", name: config.name });
    }
    let identity = first.identity().clone();
    let remote = Arc::new(Remote {
        sharing: Sharing::new(config),
        dialer,
        store: identity.id,
        client: Mutex::default(),
        greeting: Greeting::default(),
        closing: AtomicBool::new(false),
        lost: Default::default(),
        thread: Mutex::default(),
    });
    remote.sharing.join();
    remote.seat(first, 1);
    let life = remote.clone();
    let spawned = std::thread::Builder::new().name("retold-remote".into()).spawn(move || life.stay());
    match spawned {
        Ok(thread) => *lock(&remote.thread) = Some(thread),
        Err(e) => {
            let _ = remote.close();
            return Err(Error::storage(format!("the thread retold-remote cannot be started: {e}")));
        }
    }
    Ok((remote, identity))
}

/// One connection to the server, which has to have this store if one is named.
fn connect(
    dialer: &Arc<dyn Dialer>,
    config: &SharingConfig,
    store: Option<StoreId>,
    (greeting, is_wanted): (&Greeting, &dyn Fn() -> bool),
) -> Result<Arc<SharedEngine>> {
    let hello = Hello {
        program: config.program.clone(),
        rank: config.rank as u8,
        store,
        name: config.name.clone(),
        path: None,
        read_only: config.file.read_only,
        wait: config.answer_wait(),
        reach: Reach::Remote,
    };
    let stream = dial(dialer, config.answer_wait(), is_wanted)?;
    greeting.with(stream, hello).map_err(|e| not_let_in(&config.name, e))
}

/// Why a server that was reached is of no use. Its process means nothing here.
fn not_let_in(name: &str, error: ConnectError) -> Error {
    let store = name.to_owned();
    let reason = match error {
        ConnectError::Protocol { theirs, ours, .. } => {
            let reason = format!(
                "its server speaks versions {}-{} of the protocol, this release {}-{}; use releases that are closer",
                theirs.0, theirs.1, ours.0, ours.1
            );
            return Error::Refused { store, reason };
        }
        ConnectError::OtherStore { found, .. } => {
            let reason = format!("its server has another store now, {found}; open it again");
            return Error::Refused { store, reason };
        }
        ConnectError::Lost { reason, .. } => format!("the connection has ended: {reason}"),
        ConnectError::Leaving { .. } => "its server is about to end".to_owned(),
        ConnectError::Busy { clients, .. } => {
            format!("its server has {clients} programs, the most that it takes; end one of them")
        }
        ConnectError::Silent { waited, .. } => {
            format!("its server has not said who it is within {} s", waited.as_secs().max(1))
        }
        ConnectError::OtherUser { .. } => "the socket of this process belongs to another user".to_owned(),
    };
    Error::Unreachable { store, reason }
}

/// The pause after so many, twice as long as the one before.
fn pause(pauses: u32) -> Duration {
    PAUSE.saturating_mul(1 << pauses.min(16)).min(LONGEST_PAUSE)
}

impl Remote {
    pub(crate) fn sharing(&self) -> &Arc<Sharing> {
        &self.sharing
    }

    /// Who serves the store, and to whom.
    pub(crate) fn owner(&self) -> Result<StoreOwner> {
        let mut past = None;
        loop {
            let epoch = self.sharing.seats.wait(past)?.seated.epoch;
            let client = lock(&self.client).clone();
            match client.map(|client| told_by(&client)) {
                Some(Err(Error::OwnerLost { .. })) | None => past = Some(epoch),
                Some(told) => return told,
            }
        }
    }

    pub(crate) fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        drop(lock(&self.lost.0));
        self.lost.1.notify_all();
        self.greeting.end();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        self.sharing.seats.set(Seat::Closed);
        let client = lock(&self.client).take();
        let closed = client.map_or(Ok(()), |client| client.close());
        self.sharing.ended();
        closed
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn seat(self: &Arc<Self>, engine: Arc<SharedEngine>, epoch: u64) {
        // Before anybody can be told that it is lost.
        *lock(&self.client) = Some(engine.clone());
        self.sharing.seat(Seated { epoch, engine: engine.clone(), remote: true });
        let remote = Arc::downgrade(self);
        engine.on_lost(move |_| {
            if let Some(remote) = remote.upgrade() {
                // From now on calls wait for the next connection.
                remote.sharing.seats.leave(epoch);
                *lock(&remote.lost.0) = epoch;
                remote.lost.1.notify_all();
            }
        });
    }

    /// The life of the thread that finds the server again.
    fn stay(self: Arc<Self>) {
        let (mut epoch, mut connected) = (1, Instant::now());
        let (mut pauses, mut trouble) = (0, connected);
        while self.is_lost(epoch) {
            let now = Instant::now();
            // One that is lost as soon as it is made is no better than none.
            if epoch == 1 || now.saturating_duration_since(connected) >= HEALTHY {
                (pauses, trouble) = (0, now);
            }
            // Whoever is in it has the engine for as long as that takes.
            *lock(&self.client) = None;
            self.sharing.release_readers();
            let Some(engine) = self.again(trouble, &mut pauses) else { return };
            epoch += 1;
            connected = Instant::now();
            self.seat(engine, epoch);
        }
    }

    /// Waits until the connection of an epoch is lost; `false` when the store is closed.
    fn is_lost(&self, epoch: u64) -> bool {
        let mut lost = lock(&self.lost.0);
        while *lost != epoch && !self.is_closing() {
            lost = self.lost.1.wait(lost).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        !self.is_closing()
    }

    /// The next connection; `None` when the store is closed. Calls wait for it, but not for ever after the trouble has begun.
    fn again(&self, trouble: Instant, pauses: &mut u32) -> Option<Arc<SharedEngine>> {
        let config = &self.sharing.config;
        let calls = trouble + Duration::from_millis(HAND_OVER_MS) + config.wait;
        let (store, reason) =
            (config.name.clone(), "its connections end as soon as they are made".to_owned());
        let (mut why, mut is_lasting) = (Error::Unreachable { store, reason }, false);
        let wanted = || !self.is_closing();
        loop {
            if *pauses > 0 {
                if is_lasting || Instant::now() >= calls {
                    self.sharing.seats.set(Seat::Away(why.clone()));
                }
                let lost = lock(&self.lost.0);
                if wanted() {
                    drop(self.lost.1.wait_timeout(lost, pause(*pauses - 1)));
                }
            }
            *pauses += 1;
            if !wanted() {
                return None;
            }
            match connect(&self.dialer, config, Some(self.store), (&self.greeting, &wanted)) {
                Ok(engine) => return wanted().then_some(engine),
                Err(error) => {
                    tracing::debug!(%error, "the server of a store is looked for");
                    is_lasting = !error.is_passing();
                    why = away(&config.name, error);
                }
            }
        }
    }
}

/// Why calls fail for now. The server is looked for all the same, so this ends nobody who waits for it.
fn away(name: &str, error: Error) -> Error {
    match error {
        error if error.is_passing() => error,
        Error::Refused { store, reason } => Error::Unreachable { store, reason },
        error => Error::Unreachable { store: name.to_owned(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_become_longer_up_to_a_bound() {
        let all: Vec<_> = (0..100).map(pause).collect();
        assert_eq!((all.first(), all.last()), (Some(&PAUSE), Some(&LONGEST_PAUSE)));
        assert!(all.is_sorted());
    }

    #[test]
    fn a_server_that_is_another_does_not_end_who_waits_for_its_store() {
        let refused =
            not_let_in("https://a:1", ConnectError::Protocol { owner: 1, theirs: (7, 9), ours: (1, 1) });
        assert!(!refused.is_passing() && refused.to_string().contains("7-9"), "{refused}");
        for error in [refused, Error::storage("there are no more file descriptors")] {
            assert!(away("https://a:1", error).is_passing());
        }
    }
}
