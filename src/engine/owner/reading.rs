//! A store that is only read: a client of the owner while there is one. Otherwise the file is locked, with everybody else
//! who only reads, no longer than somebody is reading: whoever wants to write waits for no reader that does nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::find::{Found, Obstacle, connect_to, find};
use super::greeting::Greeting;
use super::places::Places;
use super::seats::{Seat, Seated};
use super::sharing::{Sharing, SharingConfig};
use crate::engine::file::{Medium, open as open_file};
use crate::engine::file_id::FileId;
use crate::engine::identity::Identity;
use crate::engine::ownership::StoreOwner;
use crate::engine::port::Engine;
use crate::engine::shared::{Hello, Reach, SharedEngine};
use crate::error::{Error, Result};
use crate::event::StoreId;
use crate::limits::{OWNER_PAUSE_MS, READ_IDLE_MS, READ_LOCK_MS, READ_LOOK_MS, READ_OFF_MS, READ_RACY_MS};
use crate::sync::{Mutex, lock};

const PAUSE: Duration = Duration::from_millis(OWNER_PAUSE_MS);
const IDLE: Duration = Duration::from_millis(READ_IDLE_MS);
const LOOK: Duration = Duration::from_millis(READ_LOOK_MS);
const RACY: Duration = Duration::from_millis(READ_RACY_MS);

#[derive(Debug)]
pub(crate) struct Reading {
    sharing: Arc<Sharing>,
    path: PathBuf,
    store: StoreId,
    client: Mutex<Option<Arc<SharedEngine>>>,
    lost: AtomicBool,
    greeting: Greeting,
    closing: AtomicBool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// Where the clock is among the spans after which readers let go of the file: the how manieth, and for how long none may
/// have it any more. All processes see the same, so that a writer meets a moment without any of them.
fn span() -> (u128, Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let (span, at) = (now / u128::from(READ_LOCK_MS), now % u128::from(READ_LOCK_MS));
    (span, Duration::from_millis(READ_OFF_MS.saturating_sub(at as u64)))
}

/// A way to read the store.
enum Way {
    Client(Arc<SharedEngine>),
    Local(Arc<dyn Engine>),
}

impl Way {
    fn engine(&self) -> Arc<dyn Engine> {
        match self {
            Self::Client(engine) => engine.clone(),
            Self::Local(engine) => engine.clone(),
        }
    }

    fn seated(&self, epoch: u64) -> Seated {
        Seated { epoch, engine: self.engine(), remote: matches!(self, Self::Client(_)) }
    }
}

/// Opens a store for reading, and says what it is.
pub(crate) fn open(path: &Path, config: SharingConfig, until: Instant) -> Result<(Arc<Reading>, Identity)> {
    let first = look(path, &config, until, (&Greeting::default(), &|| false))?;
    let stamp = Stamp::of(path);
    let engine = first.engine();
    let identity = Identity {
        name: config.name.clone(),
        path: std::path::absolute(path).ok(),
        read_only: true,
        ..engine.identity().clone()
    };
    let reading = Arc::new(Reading {
        sharing: Sharing::new(config),
        path: path.to_owned(),
        store: identity.id,
        client: Mutex::default(),
        lost: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        greeting: Greeting::default(),
        thread: Mutex::default(),
    });
    reading.sharing.join();
    reading.seat(&first, 1);
    let thread = reading.clone();
    let spawned = std::thread::Builder::new().name("retold-reading".into());
    let spawned = spawned.spawn(move || thread.stay(first, stamp));
    match spawned {
        Ok(thread) => *lock(&reading.thread) = Some(thread),
        Err(e) => return Err(Error::storage(format!("the thread retold-reading cannot be started: {e}"))),
    }
    Ok((reading, identity))
}

/// One way to read the store, as soon as there is one.
fn look(
    path: &Path,
    config: &SharingConfig,
    until: Instant,
    (greeting, is_closing): (&Greeting, &dyn Fn() -> bool),
) -> Result<Way> {
    loop {
        std::thread::sleep(span().1);
        let obstacle = match Places::of(path).map(|places| through_owner(&places, config, greeting)) {
            Ok(Ok(engine)) => return Ok(Way::Client(engine)),
            Ok(Err(obstacle)) if obstacle.bars => return Err(obstacle.into_error(&config.name)),
            Ok(Err(obstacle)) => obstacle,
            // Opening it says what it is instead.
            Err(e) => Obstacle::passing(e.to_string()),
        };
        match open_file(Medium::File(path.to_owned()), config.file.clone()) {
            Ok(engine) => return Ok(Way::Local(engine)),
            Err(Error::Locked { .. }) if obstacle.lasting || Instant::now() >= until || is_closing() => {
                return Err(obstacle.into_error(&config.name));
            }
            Err(Error::Locked { .. }) => std::thread::sleep(PAUSE),
            Err(e) => return Err(e),
        }
    }
}

fn through_owner(
    places: &Places,
    config: &SharingConfig,
    greeting: &Greeting,
) -> Result<Arc<SharedEngine>, Obstacle> {
    let (record, socket) = match find(places, &super::host::Host::this()) {
        Found::Here { record, socket } => (record, socket),
        Found::Nobody(obstacle) | Found::Barred(obstacle) => return Err(obstacle),
    };
    let stream = connect_to(&socket).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => Obstacle::full(&record, config.wait),
        _ => Obstacle::passing(format!("{} cannot be reached at {}: {e}", record.who(), socket.display())),
    })?;
    let hello = Hello {
        program: config.program.clone(),
        rank: config.rank as u8,
        store: Some(record.store),
        name: config.name.clone(),
        path: Some(places.file.clone()),
        read_only: true,
        wait: config.answer_wait(),
        reach: Reach::Local,
    };
    match greeting.with(stream, hello) {
        Ok(engine) if engine.identity().opening == record.opening => Ok(engine),
        Ok(_) => Err(Obstacle::passing("its owner has just changed")),
        Err(e) => Err(Obstacle::of(&record, e)),
    }
}

impl Reading {
    pub(crate) fn sharing(&self) -> &Arc<Sharing> {
        &self.sharing
    }

    /// Who owns the store; `None` when nobody does, or nobody who would say.
    pub(crate) fn owner(&self) -> Result<Option<StoreOwner>> {
        let client = lock(&self.client).clone();
        match client.map(|client| super::driver::told_by(&client)).transpose() {
            Err(Error::OwnerLost { .. }) => Ok(None),
            told => told,
        }
    }

    pub(crate) fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        self.greeting.end();
        self.sharing.seats.call();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        Ok(())
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn seat(self: &Arc<Self>, way: &Way, epoch: u64) {
        self.lost.store(false, Ordering::Release);
        *lock(&self.client) = None;
        self.sharing.seat(way.seated(epoch));
        if let Way::Client(client) = way {
            *lock(&self.client) = Some(client.clone());
            let reading = Arc::downgrade(self);
            client.on_lost(move |_| {
                if let Some(reading) = reading.upgrade() {
                    reading.lost.store(true, Ordering::Release);
                    reading.sharing.seats.leave(epoch);
                    reading.sharing.seats.call();
                }
            });
        }
    }

    /// The life of the thread that lets go of the file, and finds the owner again.
    fn stay(self: Arc<Self>, first: Way, stamp: Option<Stamp>) {
        let (mut way, mut stamp, mut epoch) = (Some(first), stamp, 1);
        while !self.is_closing() {
            match way.take() {
                Some(Way::Client(client)) => {
                    self.while_client();
                    let _ = client.close();
                }
                Some(Way::Local(engine)) => {
                    self.while_reading();
                    let is_closing = self.is_closing();
                    if !is_closing {
                        self.sharing.leave(epoch, Duration::ZERO);
                    }
                    self.sharing.committed();
                    let _ = engine.close();
                }
                None => {
                    way = self.idle(&mut stamp);
                    if let Some(way) = &way {
                        epoch += 1;
                        self.seat(way, epoch);
                    }
                }
            }
        }
        self.sharing.ended();
        let _ = way.map(|way| way.engine().close());
    }

    fn while_client(&self) {
        while !self.is_closing() && !self.lost.load(Ordering::Acquire) {
            self.sharing.seats.wanted_within(LOOK);
        }
    }

    /// Until nobody has read for a moment, or has read for long.
    fn while_reading(&self) {
        let (begun, mut reads) = (span().0, self.sharing.seats.reads());
        loop {
            self.sharing.seats.wanted_within(IDLE);
            let now = self.sharing.seats.reads();
            let is_idle = now == reads || span().0 != begun;
            reads = now;
            if self.is_closing() || is_idle && self.sharing.seats.is_empty() {
                return;
            }
        }
    }

    /// Until somebody wants to read, or there is an owner. Tells followers of changes, which others make meanwhile.
    fn idle(self: &Arc<Self>, stamp: &mut Option<Stamp>) -> Option<Way> {
        let wanted = self.sharing.seats.wanted_within(LOOK);
        if self.is_closing() {
            return None;
        }
        let config = &self.sharing.config;
        if !wanted {
            let owner = Places::of(&self.path).map(|places| through_owner(&places, config, &self.greeting));
            if let Ok(Ok(engine)) = owner {
                return self.checked(Way::Client(engine));
            }
            let is_changed = match &*stamp {
                Some(before) => before.is_outdated() || Stamp::of(&self.path).as_ref() != Some(before),
                None => true,
            };
            if !is_changed {
                return None;
            }
        }
        *stamp = Stamp::of(&self.path);
        let until = Instant::now() + if wanted { config.wait } else { Duration::ZERO };
        match look(&self.path, config, until, (&self.greeting, &|| self.is_closing())) {
            // Followers are told of it, and read what there is now.
            Ok(way) => self.checked(way),
            Err(error) if wanted => {
                self.sharing.seats.set(Seat::Away(error));
                // Whoever waits is told; a call after that looks again.
                std::thread::sleep(LOOK);
                self.sharing.seats.set(Seat::Moving);
                None
            }
            Err(_) => {
                *stamp = None;
                None
            }
        }
    }

    /// Another store may have taken the path.
    fn checked(&self, way: Way) -> Option<Way> {
        if way.engine().identity().id == self.store {
            return Some(way);
        }
        let reason = "another store has taken its path; open it again".into();
        let _ = way.engine().close();
        self.sharing.seats.set(Seat::Away(Error::Locked { path: self.sharing.config.name.clone(), reason }));
        None
    }
}

/// How a file looks from outside, and when.
#[derive(Debug)]
struct Stamp {
    id: FileId,
    bytes: u64,
    modified: SystemTime,
    taken: SystemTime,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.bytes, self.modified) == (other.id, other.bytes, other.modified)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        let modified = meta.modified().ok()?;
        Some(Self { id: FileId::of(&meta), bytes: meta.len(), modified, taken: SystemTime::now() })
    }

    /// The file had changed so recently that another change need not have been visible, and by now would be.
    fn is_outdated(&self) -> bool {
        let was_racy = self.taken.duration_since(self.modified).map_or(true, |age| age < RACY);
        was_racy && self.taken.elapsed().is_ok_and(|age| age >= RACY)
    }
}
