//! The steps on the way into a store: finding its owner, connecting, locking the file, and what lies beside it.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::brake::Brake;
use super::find::{Found, Obstacle, connect_to, find};
use super::greeting::Greeting;
use super::hold::Held;
use super::host::start_of;
use super::protocol::{Input, Protocol};
use super::record::OwnerRecord;
use super::seats::Seat;
use super::sharing::Sharing;
use super::site::Site;
use crate::engine::file::{Medium, open as open_file};
use crate::engine::port::Engine;
use crate::engine::rank::Rank;
use crate::engine::shared::{ConnectError, Hello, Reach, SharedEngine};
use crate::error::{Error, Result};
use crate::event::Timestamp;

/// What one step leaves for the next.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) protocol: Protocol,
    pub(super) epoch: u64,
    pub(super) site: Arc<Site>,
    pub(super) held: Held,
    pub(super) found: Option<(Box<OwnerRecord>, PathBuf)>,
    pub(super) obstacle: Option<Obstacle>,
    pub(super) failure: Option<Error>,
    pub(super) engine: Option<Arc<dyn Engine>>,
    pub(super) listener: Option<(UnixListener, PathBuf)>,
    pub(super) unshared: Option<String>,
    /// How closing the file ended.
    pub(super) closed: Result<()>,
    /// How often it has waited in a row.
    pub(super) pauses: u32,
    pub(super) brake: Brake,
    /// It was found in another file than it was in before.
    pub(super) moved: bool,
    /// The connection to the owner.
    pub(super) client: Option<Arc<SharedEngine>>,
    /// When the file was opened.
    pub(super) since: Timestamp,
}

/// How long a way may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// The caller of `open` waits: until then, and it fails.
    Until(Instant),
    /// As long as it takes; but after that, calls fail.
    Endless { calls: Instant },
}

impl Way {
    pub(super) fn new(protocol: Protocol, site: Arc<Site>) -> Self {
        let held = Held::new(site.places());
        Self {
            protocol,
            epoch: 0,
            site,
            held,
            found: None,
            obstacle: None,
            failure: None,
            engine: None,
            listener: None,
            unshared: None,
            closed: Ok(()),
            pauses: 0,
            brake: Brake::new(),
            moved: false,
            client: None,
            since: Timestamp::now(),
        }
    }

    /// What stood in the way does so no more.
    pub(super) fn settled(&mut self) {
        (self.obstacle, self.failure, self.pauses) = (None, None, 0);
    }

    /// The store may have moved into another file.
    pub(super) fn follow(&mut self) {
        let before = self.site.places();
        let places = before.now();
        self.moved |= places.id != before.id;
        self.held.follow(places.clone());
        self.site.move_to(places);
    }

    pub(super) fn find(&mut self, sharing: &Sharing, patience: Patience) -> Input {
        if self.site.places().is_replaced() {
            let reason = "the file was deleted or replaced while it was open; open it again";
            return self.another(sharing, patience, reason, Input::NoAnswer);
        }
        match find(&self.site.places(), &self.site.host) {
            // In another container the number is somebody else's.
            Found::Here { record, .. }
                if record.pid == std::process::id() && record.host.pids == self.site.host.pids =>
            {
                self.obstacle = Some(Obstacle::passing("this process itself is just closing it"));
                Input::Nobody
            }
            Found::Here { record, socket } => {
                self.obstacle = Some(Obstacle::passing(format!("{} has it", record.who())));
                self.found = Some((record, socket));
                Input::Here
            }
            Found::Nobody(obstacle) => {
                self.obstacle = Some(obstacle);
                Input::Nobody
            }
            Found::Barred(obstacle) => {
                self.obstacle = Some(obstacle);
                self.barred(sharing, patience, Input::NoAnswer)
            }
        }
    }

    pub(super) fn connect(&mut self, sharing: &Sharing, greeting: &Greeting) -> Input {
        let Some((record, socket)) = self.found.take() else { return Input::Refused };
        let (config, places) = (&sharing.config, self.site.places());
        let stream = match connect_to(&socket) {
            Ok(stream) => stream,
            Err(e) => {
                let full = e.kind() == std::io::ErrorKind::WouldBlock;
                self.obstacle = Some(match full {
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
            reach: Reach::Local,
        };
        match greeting.with(stream, hello) {
            Ok(engine) if engine.identity().opening == record.opening => {
                let owner = Rank::of(engine.owner().rank);
                self.client = Some(engine);
                Input::Welcomed { owner }
            }
            // Another has the store since the record was read: it is to be found by a record of its own.
            Ok(engine) => {
                let _ = engine.close();
                self.obstacle = Some(Obstacle::passing("its owner has just changed"));
                Input::NoAnswer
            }
            Err(e) => {
                // Of these it is certain that somebody is there. Otherwise the lock says whether that was its owner.
                let is_there = matches!(e, ConnectError::Silent { .. } | ConnectError::Busy { .. });
                self.obstacle = Some(Obstacle::of(&record, e));
                if is_there { Input::NoAnswer } else { Input::Refused }
            }
        }
    }

    pub(super) fn try_lock(&mut self, sharing: &Sharing, patience: Patience) -> Input {
        let places = self.site.places();
        match open_file(Medium::File(places.file.clone()), sharing.config.file.clone()) {
            Ok(engine) => {
                if places.now().id != places.id {
                    // It has moved since it was looked for.
                    let _ = engine.close();
                    return Input::Busy;
                }
                if self.moved && engine.committed() < sharing.committed() {
                    let _ = engine.close();
                    let reason = "another file with less in it has taken its name; open it again";
                    return self.another(sharing, patience, reason, Input::Busy);
                }
                if !places.still_hold() {
                    let _ = engine.close();
                    let reason = "the file was deleted or replaced while it was opened";
                    return self.another(sharing, patience, reason, Input::Busy);
                }
                self.since = Timestamp::now();
                self.brake.opened(Instant::now());
                self.engine = Some(engine);
                Input::Taken
            }
            Err(Error::Locked { .. }) if self.obstacle.as_ref().is_some_and(|o| o.lasting) => {
                self.barred(sharing, patience, Input::Busy)
            }
            Err(Error::Locked { .. }) => Input::Busy,
            Err(e) => {
                self.failure = Some(e);
                self.brake.failed(Instant::now());
                // Others may have more luck, and then this process is their client.
                if matches!(patience, Patience::Until(_)) { Input::Barred } else { Input::Busy }
            }
        }
    }

    /// The name leads to another file than the store's.
    fn another(&mut self, sharing: &Sharing, patience: Patience, reason: &str, otherwise: Input) -> Input {
        // It is said again and again, as long as it is so.
        self.obstacle = Some(Obstacle::lasting(reason));
        self.failure = None;
        self.barred(sharing, patience, otherwise)
    }

    /// Waiting does not help. Whoever opens the store is told so; a store that is open tells those who call, and goes on
    /// looking: what bars it may end.
    fn barred(&mut self, sharing: &Sharing, patience: Patience, otherwise: Input) -> Input {
        match patience {
            Patience::Until(_) => Input::Barred,
            Patience::Endless { .. } => {
                let error = self.away(sharing);
                sharing.seats.set(Seat::Away(error));
                otherwise
            }
        }
    }

    pub(super) fn bind(&mut self) -> Input {
        match self.held.bind() {
            Ok(bound) => self.listener = Some(bound),
            Err(reason) => {
                tracing::info!(%reason, "the store cannot be shared");
                self.unshared = Some(reason);
            }
        }
        Input::Done
    }

    pub(super) fn publish(&mut self, sharing: &Sharing) -> Input {
        let Some(engine) = &self.engine else { return Input::Done };
        let config = &sharing.config;
        let pid = std::process::id();
        let exclusive = config.exclusive.then(|| "it was opened exclusively".to_owned());
        let record = OwnerRecord {
            pid,
            start: start_of(pid),
            host: self.site.host.clone(),
            program: config.program.clone(),
            rank: config.rank,
            since: self.since.micros(),
            store: engine.identity().id,
            opening: engine.identity().opening,
            socket: self.listener.as_ref().map(|(_, path)| path.clone()),
            unshared: exclusive.or_else(|| self.unshared.take()),
        };
        if let Err(reason) = self.held.publish(&record) {
            tracing::info!(%reason, "the store cannot be shared");
            self.listener = None;
        }
        Input::Done
    }

    /// Why calls of a store that is open fail for now. It is still looked for, so this ends nobody who waits for it.
    pub(super) fn away(&mut self, sharing: &Sharing) -> Error {
        match self.obstructed(sharing) {
            error if error.is_passing() => error,
            error => {
                let reason = format!("it cannot be opened again at the moment: {error}");
                Error::Locked { path: sharing.config.name.clone(), reason }
            }
        }
    }

    /// The last thing that stood in the way.
    pub(super) fn obstructed(&mut self, sharing: &Sharing) -> Error {
        if let Some(failure) = self.failure.take() {
            return failure;
        }
        let name = &sharing.config.name;
        let obstacle = self.obstacle.clone().unwrap_or_else(|| Obstacle::passing(""));
        obstacle.into_error(name)
    }
}
