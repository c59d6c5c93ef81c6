//! Does what the protocol says: looks for the owner, locks and opens the file, binds, serves, hands over. Each way from one
//! place to the next is gone on a thread of its own; while a process owns a store or is a client, none is needed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::greeting::Greeting;
use super::places::Places;
use super::protocol::{Action, HoldOff, Input, Protocol};
use super::seats::{Seat, Seated};
use super::sharing::Sharing;
use super::site::Site;
use super::way::{Patience, Way};
use crate::engine::file_id::FileId;
use crate::engine::moving::Moving;
use crate::engine::ownership::{StoreClient, StoreOwner};
use crate::engine::port::Engine;
use crate::engine::rank::Rank;
use crate::engine::shared::{ClientInfo, Server, ServerOptions, SharedEngine};
use crate::engine::watch::{Committed, Watcher};
use crate::error::{Error, Result};
use crate::event::Timestamp;
use crate::limits::{HAND_OVER_MS, OWNER_PAUSE_MS};
use crate::sync::{Condvar, Mutex, lock, try_lock};

const PAUSE: Duration = Duration::from_millis(OWNER_PAUSE_MS);
const HAND_OVER: Duration = Duration::from_millis(HAND_OVER_MS);

/// How often, with a millisecond between, the way is asked for by who moves the file.
const MOVE_TRIES: u32 = 200;

/// The protocol of one store in this process, and what it has made so far.
#[derive(Debug)]
pub(crate) struct Driver {
    sharing: Arc<Sharing>,
    site: Arc<Site>,
    way: Mutex<Way>,
    server: Mutex<Option<Arc<Server>>>,
    client: Mutex<Option<Arc<SharedEngine>>>,
    since: Mutex<Timestamp>,
    /// The store is being closed: nothing is waited for any more.
    greeting: Greeting,
    closing: AtomicBool,
    hurry: (Mutex<()>, Condvar),
    /// Hears when the owner's storage fails.
    failing: Mutex<Option<Arc<dyn Watcher>>>,
    /// Moves what others find the store by, when the store moves into another file.
    moving: Mutex<Option<Arc<dyn Moving>>>,
    /// What happened while no thread could be had to see to it.
    missed: Mutex<Option<(u64, Input)>>,
    has_missed: AtomicBool,
}

/// Tells the driver that the storage of an epoch has failed. From then on calls wait for what comes next.
#[derive(Debug)]
struct Failing {
    driver: Weak<Driver>,
    epoch: u64,
}

impl Watcher for Failing {
    fn committed(&self, _: &Committed<'_>) {}

    fn failed(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.sharing.committed();
            driver.sharing.seats.leave(self.epoch);
            driver.event(self.epoch, Input::Failed);
        }
    }

    fn closed(&self) {}
}

/// Moves the owner record and the socket along with the file of an epoch.
#[derive(Debug)]
struct Mover {
    driver: Weak<Driver>,
    epoch: u64,
}

impl Moving for Mover {
    fn moves(&self, new: &Path, rename: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let over = || Error::storage("the store is being handed over or closed");
        let driver = self.driver.upgrade().ok_or_else(over)?;
        // Who leaves the file has this, and waits for whoever moves it; others have it for a moment.
        let mut tries = (0..MOVE_TRIES).filter_map(|n| {
            std::thread::sleep(Duration::from_millis(u64::from(n > 0)));
            try_lock(&driver.way)
        });
        let mut way = tries.next().ok_or_else(over)?;
        if way.epoch != self.epoch {
            return Err(over());
        }
        let id = FileId::at(new).map_err(|e| Error::storage(format!("{}: {e}", new.display())))?;
        let places = driver.site.places().of_file(id);
        way.held.move_to(&places, rename)?;
        driver.site.move_to(places);
        Ok(())
    }
}

impl Driver {
    /// Gets into the store, in whichever way there is.
    ///
    /// # Errors
    /// [`Error::Locked`] with the reason when it stays in use, and what opening a file can fail with.
    pub(crate) fn open(sharing: Arc<Sharing>, places: Places, until: Instant) -> Result<Arc<Self>> {
        let config = &sharing.config;
        let (protocol, first) = Protocol::new(config.rank, config.exclusive, HoldOff::default());
        let site = Arc::new(Site::new(places));
        let way = Way::new(protocol, site.clone());
        let driver = Arc::new(Self {
            sharing,
            site,
            way: Mutex::new(way),
            server: Mutex::default(),
            client: Mutex::default(),
            since: Mutex::new(Timestamp::now()),
            closing: AtomicBool::new(false),
            greeting: Greeting::default(),
            hurry: Default::default(),
            failing: Mutex::default(),
            moving: Mutex::default(),
            missed: Mutex::default(),
            has_missed: AtomicBool::new(false),
        });
        driver.go(&mut lock(&driver.way), first, Patience::Until(until))?;
        Ok(driver)
    }

    /// Lets go of the store: writes what is queued, hands the file to whoever waits for it, or leaves the owner.
    pub(crate) fn close(self: &Arc<Self>) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        drop(lock(&self.hurry.0));
        self.hurry.1.notify_all();
        self.greeting.end();
        let mut way = lock(&self.way);
        if let Some(action) = way.protocol.on(Input::Close) {
            let _ = self.go(&mut way, action, Patience::Until(Instant::now()));
        }
        self.sharing.ended();
        std::mem::replace(&mut way.closed, Ok(()))
    }

    /// Who owns the store now, and who its clients are.
    pub(crate) fn owner(&self) -> Result<StoreOwner> {
        let config = &self.sharing.config;
        let mut past = None;
        while let Some((epoch, client)) = self.remote(past)? {
            match told_by(&client) {
                Err(Error::OwnerLost { .. }) => past = Some(epoch),
                told => return told,
            }
        }
        let clients = lock(&self.server).as_ref().map(|server| server.clients()).unwrap_or_default();
        Ok(StoreOwner {
            pid: std::process::id(),
            program: config.program.clone(),
            rank: config.rank,
            since: *lock(&self.since),
            clients: clients.iter().map(shown).collect(),
        })
    }

    /// The owner, if that is another process.
    fn remote(&self, past: Option<u64>) -> Result<Option<(u64, Arc<SharedEngine>)>> {
        let inside = self.sharing.seats.wait(past)?;
        let client = lock(&self.client).clone().filter(|_| inside.seated.remote);
        Ok(client.map(|client| (inside.seated.epoch, client)))
    }

    /// Something happened to the owner or the client of this epoch.
    fn event(self: &Arc<Self>, epoch: u64, input: Input) {
        let driver = self.clone();
        let spawned = std::thread::Builder::new().name("retold-owner".into()).spawn(move || {
            let mut way = lock(&driver.way);
            if way.epoch == epoch && input == Input::Lost {
                way.brake.lost(Instant::now());
                // The owner waits for its clients to hang up.
                *lock(&driver.client) = None;
            }
            if way.epoch == epoch
                && let Some(action) = way.protocol.on(input)
            {
                if input == Input::Failed {
                    way.brake.failed(Instant::now());
                }
                // The owner before may take as long to leave.
                let calls = Instant::now() + HAND_OVER + driver.sharing.config.wait;
                let _ = driver.go(&mut way, action, Patience::Endless { calls });
            }
        });
        match (spawned, input) {
            // It goes on as it is, and may be asked again.
            (Ok(_), _) | (Err(_), Input::Asked { .. }) => {}
            (Err(e), _) => {
                let reason = format!("a thread that looks for the store's owner cannot be started: {e}");
                *lock(&self.missed) = Some((epoch, input));
                // It is tried again with the next call.
                let path = self.sharing.config.name.clone();
                self.sharing.seats.set(Seat::Away(Error::Locked { path, reason }));
                self.has_missed.store(true, Ordering::Release);
            }
        }
    }

    /// Sees to what no thread could be had for. Each call of a handle begins with this.
    pub(crate) fn catch_up(self: &Arc<Self>) {
        if self.has_missed.load(Ordering::Acquire) && self.has_missed.swap(false, Ordering::AcqRel) {
            let missed = lock(&self.missed).take();
            if let Some((epoch, input)) = missed {
                self.sharing.seats.set(Seat::Moving);
                self.event(epoch, input);
            }
        }
    }

    /// Goes on until the store is owned, or somebody else's, or closed.
    fn go(self: &Arc<Self>, way: &mut Way, first: Action, patience: Patience) -> Result<()> {
        let mut action = first;
        loop {
            tracing::debug!(?action, "the store's owner");
            let input = match action {
                Action::Own => return self.own(way),
                Action::BeClient { ask } => return self.be_client(way, ask),
                Action::End => return Ok(()),
                Action::GiveUp => return Err(self.give_up(way)),
                Action::Find => {
                    way.follow();
                    way.find(&self.sharing, patience)
                }
                Action::Connect => way.connect(&self.sharing, &self.greeting),
                Action::TryLock => way.try_lock(&self.sharing, patience),
                Action::Bind => way.bind(),
                Action::Publish => way.publish(&self.sharing),
                Action::Pause => self.pause(way, patience),
                Action::Drain => self.drain(way),
                Action::Withdraw => {
                    way.held.withdraw();
                    Input::Done
                }
                Action::Release => self.release(way),
                Action::Disconnect => self.disconnect(way),
            };
            match way.protocol.on(input) {
                Some(next) => action = next,
                None => {
                    return Err(Error::storage(format!("{action:?} of the store's owner came to {input:?}")));
                }
            }
        }
    }

    fn own(self: &Arc<Self>, way: &mut Way) -> Result<()> {
        let Some(engine) = way.engine.clone() else { return Err(Error::storage("an owner without a file")) };
        way.epoch += 1;
        way.settled();
        let epoch = way.epoch;
        let failing: Arc<dyn Watcher> = Arc::new(Failing { driver: Arc::downgrade(self), epoch });
        engine.watch(&failing);
        *lock(&self.failing) = Some(failing);
        let moving: Arc<dyn Moving> = Arc::new(Mover { driver: Arc::downgrade(self), epoch });
        if let Some(admin) = engine.admin() {
            admin.tell_of_moves(&moving);
        }
        *lock(&self.moving) = Some(moving);
        if let Some((listener, _)) = way.listener.take() {
            let (driver, config): (Weak<Self>, _) = (Arc::downgrade(self), &self.sharing.config);
            let own = config.rank;
            let options = ServerOptions {
                program: config.program.clone(),
                rank: config.rank as u8,
                payload_bytes: config.payload_bytes,
                least: config.durability,
                handover: Arc::new(move |client| {
                    let rank = Rank::of(client.rank);
                    if let Some(driver) = driver.upgrade().filter(|_| rank > own) {
                        driver.event(epoch, Input::Asked { rank });
                    }
                }),
            };
            match Server::start(engine.clone(), Some(listener), options) {
                Ok(server) => *lock(&self.server) = Some(Arc::new(server)),
                Err(error) => {
                    tracing::warn!(%error, "the store cannot be shared");
                    way.held.withdraw();
                }
            }
        }
        *lock(&self.client) = None;
        *lock(&self.since) = way.since;
        self.sharing.seat(Seated { epoch, engine, remote: false });
        Ok(())
    }

    fn be_client(self: &Arc<Self>, way: &mut Way, ask: bool) -> Result<()> {
        let Some(client) = way.client.take() else {
            return Err(Error::storage("a client of nobody"));
        };
        *lock(&self.client) = Some(client.clone());
        way.epoch += 1;
        way.settled();
        let (epoch, driver) = (way.epoch, Arc::downgrade(self));
        way.brake.released(Instant::now());
        self.sharing.seat(Seated { epoch, engine: client.clone(), remote: true });
        client.on_lost(move |_| {
            if let Some(driver) = driver.upgrade() {
                // From now on calls wait for what comes next.
                driver.sharing.seats.leave(epoch);
                driver.event(epoch, Input::Lost);
            }
        });
        if ask && let Err(error) = client.request_handover() {
            tracing::debug!(%error, "the owner is gone before it was asked for the store");
        }
        Ok(())
    }

    fn pause(&self, way: &mut Way, patience: Patience) -> Input {
        let now = Instant::now();
        // Looking costs the owner something, too; whoever opens the store looks often all the same.
        let pause = match patience {
            Patience::Until(until) => PAUSE.min(until.saturating_duration_since(now)),
            Patience::Endless { .. } => way.brake.pause(way.pauses),
        };
        way.pauses = way.pauses.saturating_add(1);
        match patience {
            Patience::Until(until) if now >= until => return Input::Late,
            Patience::Endless { calls } if now >= calls => {
                let error = way.away(&self.sharing);
                self.sharing.seats.set(Seat::Away(error));
            }
            _ => {}
        }
        let hurry = lock(&self.hurry.0);
        if !self.closing.load(Ordering::Acquire) {
            drop(self.hurry.1.wait_timeout(hurry, pause));
        }
        if self.closing.load(Ordering::Acquire) { Input::Close } else { Input::Again }
    }

    fn drain(&self, way: &mut Way) -> Input {
        // What is closed takes nothing more at all; what is handed over keeps the calls for whoever comes next.
        if self.closing.load(Ordering::Acquire) {
            self.sharing.committed();
            self.sharing.seats.set(Seat::Closed);
        } else {
            self.sharing.leave(way.epoch, HAND_OVER);
        }
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.drain(HAND_OVER);
        }
        Input::Done
    }

    fn release(&self, way: &mut Way) -> Input {
        if let Some(engine) = way.engine.take() {
            way.closed = engine.close();
            if let (Err(error), false) = (&way.closed, self.closing.load(Ordering::Acquire)) {
                tracing::warn!(%error, "the store was handed over and could not be closed properly");
            }
        }
        Input::Done
    }

    fn disconnect(&self, way: &mut Way) -> Input {
        self.sharing.seats.set(Seat::Closed);
        let client = lock(&self.client).take();
        if let Some(client) = client {
            way.closed = client.close();
        }
        Input::Done
    }

    fn give_up(&self, way: &mut Way) -> Error {
        let error = way.obstructed(&self.sharing);
        self.sharing.seats.set(Seat::Away(error.clone()));
        error
    }

    pub(crate) fn sharing(&self) -> &Arc<Sharing> {
        &self.sharing
    }

    /// Where the file lies.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }
}

impl Drop for Driver {
    /// Closing has done all this, unless opening failed half way.
    fn drop(&mut self) {
        if !self.sharing.process.is_this() {
            return;
        }
        let server = lock(&self.server).take();
        if let Some(server) = server {
            server.stop();
        }
        let mut way = lock(&self.way);
        if let Some(engine) = way.engine.take() {
            way.held.withdraw();
            if let Err(error) = engine.close() {
                tracing::warn!(%error, "the store could not be closed properly");
            }
        }
    }
}

/// What the owner says of itself.
pub(crate) fn told_by(client: &SharedEngine) -> Result<StoreOwner> {
    let status = client.ask_owner()?;
    Ok(StoreOwner {
        pid: status.owner.pid,
        program: status.owner.program.clone(),
        rank: Rank::of(status.owner.rank),
        since: status.owner.since,
        clients: status.clients.iter().map(shown).collect(),
    })
}

fn shown(client: &ClientInfo) -> StoreClient {
    StoreClient {
        pid: client.pid,
        program: client.program.clone(),
        rank: Rank::of(client.rank),
        since: client.since,
        queued_bytes: client.queued,
    }
}
