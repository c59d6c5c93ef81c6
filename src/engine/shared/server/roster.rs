//! All clients of an owner. It is a watcher of the engine, and tells them what was committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use super::client::Client;
use super::options::ServerOptions;
use crate::codec::link::SentNotice;
use crate::engine::port::Engine;
use crate::engine::shared::message::notice_message;
use crate::engine::watch::{Committed, Watcher};
use crate::event::{Position, Timestamp};
use crate::limits::{SHARED_CLIENTS, SHARED_OWN_WRITES};
use crate::sync::{RwLock, read, write};

#[derive(Debug)]
pub(super) struct Roster {
    pub(super) options: ServerOptions,
    pub(super) since: Timestamp,
    clients: RwLock<Vec<Arc<Client>>>,
    /// The last position that was told of, or was committed before there was anybody to tell.
    told: AtomicU64,
    leaving: AtomicBool,
    /// The engine says when a group is answered, and then there is more to write.
    pub(super) hears_of_answers: bool,
    /// There is something to write for every client.
    pub(super) hinted: Notify,
    /// The engine was closed.
    pub(super) closed: Notify,
    /// A client went, has nothing under way any more, or says nothing more.
    pub(super) settled: Arc<Notify>,
}

impl Roster {
    pub(super) fn new(options: ServerOptions, hears_of_answers: bool) -> Self {
        Self {
            hears_of_answers,
            options,
            since: Timestamp::now(),
            clients: RwLock::default(),
            told: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            hinted: Notify::new(),
            closed: Notify::new(),
            settled: Arc::default(),
        }
    }

    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        read(&self.clients).clone()
    }

    /// Has every client written to.
    pub(super) fn write_to_all(&self) {
        read(&self.clients).iter().for_each(|client| client.written.notify_one());
    }

    /// Takes in a client, which is told of every commit from here on; `Err` with how many there are if there may be no more.
    pub(super) fn enter(&self, client: &Arc<Client>) -> Result<(), u32> {
        let mut clients = write(&self.clients);
        if clients.len() >= SHARED_CLIENTS {
            return Err(clients.len() as u32);
        }
        clients.push(client.clone());
        Ok(())
    }

    pub(super) fn leave(&self, client: &Arc<Client>) {
        write(&self.clients).retain(|other| !Arc::ptr_eq(other, client));
        self.settled.notify_one();
    }

    /// The last position that is committed, for one who has entered: everything after it will be told.
    pub(super) fn committed(&self, engine: &dyn Engine) -> Position {
        let now = engine.committed().get();
        Position::new(self.told.fetch_max(now, Ordering::AcqRel).max(now))
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Tells everybody that the owner leaves. Nothing more is begun: whatever is asked for is answered with the same.
    pub(super) fn leaves(&self) {
        if !self.leaving.swap(true, Ordering::AcqRel) {
            let notice = Bytes::from(SentNotice::Leaving.message(0, 8));
            for client in self.clients() {
                client.post(|outbox| outbox.send(0, notice.clone()));
                client.eases();
            }
        }
    }
}

impl Watcher for Roster {
    fn committed(&self, commit: &Committed<'_>) {
        let clients = read(&self.clients);
        let last = commit.events().last().map_or(0, |event| event.position().get());
        let position = self.told.fetch_max(last, Ordering::AcqRel).max(last);
        if clients.is_empty() {
            return;
        }
        let notice = notice_message(position, commit).map(Bytes::from);
        for client in clients.iter() {
            client.look(|outbox| outbox.tell(notice.as_ref(), position));
        }
        if !self.hears_of_answers {
            self.hinted.notify_one();
        }
    }

    /// Writes to few clients here and now, which spares them that another thread wakes up. To many it would take longer than
    /// that, on the writer's path: one system call for all of them.
    fn answered(&self) {
        let clients = read(&self.clients);
        let with_mail = || clients.iter().filter(|client| client.has_mail());
        match with_mail().take(SHARED_OWN_WRITES + 1).count() {
            0 => {}
            1..=SHARED_OWN_WRITES => with_mail().for_each(|client| client.write_here()),
            _ => self.hinted.notify_one(),
        }
    }

    /// Nothing more can be written here, and whatever could not be done is for the next owner.
    fn failed(&self) {
        self.leaves();
    }

    fn closed(&self) {
        self.leaves();
        self.closed.notify_one();
    }
}
