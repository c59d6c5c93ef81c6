//! Does what the protocol says: looks for the owner, locks and opens the file, binds, serves, hands over. Each way from one
//! place to the next is gone on a thread of its own; while a process owns a store or is a client, none is needed.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::find::{Found, Obstacle, connect_to, find};
use super::hold::Held;
use super::host::start_of;
use super::protocol::{Action, HoldOff, Input, Protocol};
use super::record::OwnerRecord;
use super::seats::{Seat, Seated};
use super::sharing::Sharing;
use crate::engine::file::{Medium, open as open_file};
use crate::engine::ownership::{StoreClient, StoreOwner};
use crate::engine::port::Engine;
use crate::engine::rank::Rank;
use crate::engine::shared::{self, ClientInfo, ConnectError, Hello, Server, ServerOptions, SharedEngine};
use crate::error::{Error, Result};
use crate::event::Timestamp;
use crate::limits::{HAND_OVER_MS, OWNER_PAUSE_MS};
use crate::sync::{Condvar, Mutex, lock};

const PAUSE: Duration = Duration::from_millis(OWNER_PAUSE_MS);
const HAND_OVER: Duration = Duration::from_millis(HAND_OVER_MS);

/// The protocol of one store in this process, and what it has made so far.
#[derive(Debug)]
pub(crate) struct Driver {
    sharing: Arc<Sharing>,
    way: Mutex<Way>,
    server: Mutex<Option<Arc<Server>>>,
    client: Mutex<Option<Arc<SharedEngine>>>,
    since: Mutex<Timestamp>,
    /// The store is being closed: nothing is waited for any more.
    closing: AtomicBool,
    hurry: (Mutex<()>, Condvar),
}

/// What one step leaves for the next.
#[derive(Debug)]
struct Way {
    protocol: Protocol,
    epoch: u64,
    held: Held,
    found: Option<(OwnerRecord, PathBuf)>,
    obstacle: Option<Obstacle>,
    failure: Option<Error>,
    engine: Option<Arc<dyn Engine>>,
    listener: Option<(UnixListener, PathBuf)>,
    unshared: Option<String>,
    /// How closing the file ended.
    closed: Result<()>,
}

/// How long a way may take.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// The caller of `open` waits: until then, and it fails.
    Until(Instant),
    /// As long as it takes; but after that, calls fail.
    Endless { calls: Instant },
}

impl Driver {
    /// Gets into the store, in whichever way there is.
    ///
    /// # Errors
    /// [`Error::Locked`] with the reason when it stays in use, and what opening a file can fail with.
    pub(crate) fn open(sharing: Arc<Sharing>, until: Instant) -> Result<Arc<Self>> {
        let config = &sharing.config;
        let (protocol, first) = Protocol::new(config.rank, config.exclusive, HoldOff::default());
        let way = Way {
            protocol,
            epoch: 0,
            held: Held::new(sharing.places.clone()),
            found: None,
            obstacle: None,
            failure: None,
            engine: None,
            listener: None,
            unshared: None,
            closed: Ok(()),
        };
        let driver = Arc::new(Self {
            sharing,
            way: Mutex::new(way),
            server: Mutex::default(),
            client: Mutex::default(),
            since: Mutex::new(Timestamp::now()),
            closing: AtomicBool::new(false),
            hurry: Default::default(),
        });
        driver.go(&mut lock(&driver.way), first, Patience::Until(until))?;
        Ok(driver)
    }

    /// Lets go of the store: writes what is queued, hands the file to whoever waits for it, or leaves the owner.
    pub(crate) fn close(self: &Arc<Self>) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        drop(lock(&self.hurry.0));
        self.hurry.1.notify_all();
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
            if way.epoch == epoch
                && let Some(action) = way.protocol.on(input)
            {
                let calls = Instant::now() + driver.sharing.config.wait;
                let _ = driver.go(&mut way, action, Patience::Endless { calls });
            }
        });
        if let Err(e) = spawned {
            let error =
                Error::storage(format!("a thread that looks for the store's owner cannot be started: {e}"));
            self.sharing.seats.set(Seat::Away(error));
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
                Action::Find => self.find(way),
                Action::Connect => self.connect(way),
                Action::TryLock => self.try_lock(way, patience),
                Action::Bind => self.bind(way),
                Action::Publish => self.publish(way),
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

    fn find(&self, way: &mut Way) -> Input {
        match find(&self.sharing.places, &self.sharing.host) {
            Found::Here { record, .. } if record.pid == std::process::id() => {
                way.obstacle = Some(Obstacle::passing("this process itself is just closing it"));
                Input::Nobody
            }
            Found::Here { record, socket } => {
                way.obstacle = Some(Obstacle::passing(format!("{} has it", record.who())));
                way.found = Some((record, socket));
                Input::Here
            }
            Found::Nobody(obstacle) => {
                way.obstacle = Some(obstacle);
                Input::Nobody
            }
            Found::Barred(obstacle) => {
                way.obstacle = Some(obstacle);
                Input::Barred
            }
        }
    }

    fn connect(&self, way: &mut Way) -> Input {
        let Some((record, socket)) = way.found.take() else { return Input::Refused };
        let (config, places) = (&self.sharing.config, &self.sharing.places);
        let stream = match connect_to(&socket) {
            Ok(stream) => stream,
            Err(e) => {
                let full = e.kind() == std::io::ErrorKind::WouldBlock;
                way.obstacle = Some(match full {
                    true => Obstacle::full(&record, config.wait),
                    false => {
                        let (who, socket) = (record.who(), socket.display());
                        Obstacle::passing(format!("{who} cannot be reached at {socket}: {e}"))
                    }
                });
                return if full { Input::NoAnswer } else { Input::Refused };
            }
        };
        let hello = Hello {
            program: config.program.clone(),
            rank: config.rank as u8,
            store: Some(record.store),
            name: config.name.clone(),
            path: Some(places.file.clone()),
            read_only: false,
            wait: config.answer_wait(),
        };
        match shared::connect(stream, hello) {
            Ok(engine) if engine.identity().opening == record.opening => {
                let owner = Rank::of(engine.owner().rank);
                *lock(&self.client) = Some(engine);
                Input::Welcomed { owner }
            }
            // Another has the store since the record was read: it is to be found by a record of its own.
            Ok(engine) => {
                let _ = engine.close();
                way.obstacle = Some(Obstacle::passing("its owner has just changed"));
                Input::NoAnswer
            }
            Err(e) => {
                // Of these it is certain that somebody is there. Otherwise the lock says whether that was its owner.
                let is_there = matches!(e, ConnectError::Silent { .. } | ConnectError::Busy { .. });
                way.obstacle = Some(Obstacle::of(&record, e));
                if is_there { Input::NoAnswer } else { Input::Refused }
            }
        }
    }

    fn try_lock(&self, way: &mut Way, patience: Patience) -> Input {
        let places = &self.sharing.places;
        match open_file(Medium::File(places.file.clone()), self.sharing.config.file.clone()) {
            Ok(engine) => {
                if !places.still_hold() {
                    way.failure = Some(Error::Locked {
                        path: self.sharing.config.name.clone(),
                        reason: "the file was deleted or replaced while it was opened".into(),
                    });
                    let _ = engine.close();
                    return Input::Barred;
                }
                *lock(&self.since) = Timestamp::now();
                way.engine = Some(engine);
                Input::Taken
            }
            Err(Error::Locked { .. }) if way.obstacle.as_ref().is_some_and(|o| o.lasting) => Input::Barred,
            Err(Error::Locked { .. }) => Input::Busy,
            Err(e) => {
                way.failure = Some(e);
                // Others may have more luck, and then this process is their client.
                if matches!(patience, Patience::Until(_)) { Input::Barred } else { Input::Busy }
            }
        }
    }

    fn bind(&self, way: &mut Way) -> Input {
        match way.held.bind() {
            Ok(bound) => way.listener = Some(bound),
            Err(reason) => {
                tracing::info!(%reason, "the store cannot be shared");
                way.unshared = Some(reason);
            }
        }
        Input::Done
    }

    fn publish(&self, way: &mut Way) -> Input {
        let Some(engine) = &way.engine else { return Input::Done };
        let config = &self.sharing.config;
        let pid = std::process::id();
        let exclusive = config.exclusive.then(|| "it was opened exclusively".to_owned());
        let record = OwnerRecord {
            pid,
            start: start_of(pid),
            host: self.sharing.host.clone(),
            program: config.program.clone(),
            rank: config.rank,
            since: lock(&self.since).micros(),
            store: engine.identity().id,
            opening: engine.identity().opening,
            socket: way.listener.as_ref().map(|(_, path)| path.clone()),
            unshared: exclusive.or_else(|| way.unshared.take()),
        };
        if let Err(reason) = way.held.publish(&record) {
            tracing::info!(%reason, "the store cannot be shared");
            way.listener = None;
        }
        Input::Done
    }

    fn own(self: &Arc<Self>, way: &mut Way) -> Result<()> {
        let Some(engine) = way.engine.clone() else { return Err(Error::storage("an owner without a file")) };
        way.epoch += 1;
        let epoch = way.epoch;
        if let Some((listener, _)) = way.listener.take() {
            let (driver, config): (Weak<Self>, _) = (Arc::downgrade(self), &self.sharing.config);
            let options = ServerOptions {
                program: config.program.clone(),
                rank: config.rank as u8,
                payload_bytes: config.payload_bytes,
                least: config.durability,
                handover: Arc::new(move |client| {
                    if let Some(driver) = driver.upgrade() {
                        driver.event(epoch, Input::Asked { rank: Rank::of(client.rank) });
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
        self.sharing.seat(Seated { epoch, engine, remote: false });
        Ok(())
    }

    fn be_client(self: &Arc<Self>, way: &mut Way, ask: bool) -> Result<()> {
        let Some(client) = lock(&self.client).clone() else {
            return Err(Error::storage("a client of nobody"));
        };
        way.epoch += 1;
        let (epoch, driver) = (way.epoch, Arc::downgrade(self));
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
        match patience {
            Patience::Until(until) if now >= until => return Input::Late,
            Patience::Endless { calls } if now >= calls => {
                let error = self.obstructed(way);
                self.sharing.seats.set(Seat::Away(error));
            }
            _ => {}
        }
        let hurry = lock(&self.hurry.0);
        if !self.closing.load(Ordering::Acquire) {
            drop(self.hurry.1.wait_timeout(hurry, PAUSE));
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
        let error = self.obstructed(way);
        self.sharing.seats.set(Seat::Away(error.clone()));
        error
    }

    /// The last thing that stood in the way.
    fn obstructed(&self, way: &mut Way) -> Error {
        if let Some(failure) = way.failure.take() {
            return failure;
        }
        let name = &self.sharing.config.name;
        let obstacle = way.obstacle.clone().unwrap_or_else(|| Obstacle::passing(""));
        obstacle.into_error(name)
    }

    pub(crate) fn sharing(&self) -> &Arc<Sharing> {
        &self.sharing
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
