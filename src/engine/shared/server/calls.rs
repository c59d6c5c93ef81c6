//! Carrying out the calls of a client.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::{Called, Client};
use super::roster::Roster;
use super::served_engine::ServedEngine;
use crate::codec::Bounded;
use crate::codec::link::{SentAnswer, SentAsk, SentOwner, SentPeer, SentStatus};
use crate::engine::backup::Backup;
use crate::engine::port::Admin;
use crate::engine::shared::message::{
    Look, Takes, commit_of, failed, got_message, is_in_memory, outcome_message, read_of, sent_figures,
    sent_report,
};
use crate::engine::shared::peer::{ClientInfo, program_name};
use crate::error::{Error, Result};
use crate::limits::{SHARED_CLIENT_BYTES, SHARED_CLIENTS, SHARED_FRAME_BYTES, SHARED_INTAKE_BYTES};
use crate::sync::{Mutex, lock};

const KIB: usize = 1_024;

pub(super) struct Calls {
    served: ServedEngine,
    pub(super) client: Arc<Client>,
    /// The message of several frames that has begun.
    begun: Mutex<Option<BegunMessage>>,
}

/// A message of several frames, which is a call that is under way before it is whole: its client hears that the owner lives.
struct BegunMessage {
    call: u64,
    total: usize,
    called: Called,
    room: Option<OwnedSemaphorePermit>,
}

impl Calls {
    pub(super) fn new(served: ServedEngine, client: Arc<Client>) -> Self {
        Self { served, client, begun: Mutex::default() }
    }

    /// Waits until a long message may be taken in.
    pub(super) async fn make_room(&self, call: u64, total: u32) {
        let called = self.client.call();
        let wanted = (total as usize).min(SHARED_INTAKE_BYTES).div_ceil(KIB);
        let room = permits(&self.served.intake, wanted).await;
        *lock(&self.begun) = Some(BegunMessage { call, total: total as usize, called, room });
    }

    /// No message becomes whole any more.
    pub(super) fn end(&self) {
        *lock(&self.begun) = None;
    }

    /// Begins a call. Returns when the next one may begin.
    pub(super) async fn begin(&self, call: u64, body: Bytes) {
        // A short message of the same number is another one.
        let begun = lock(&self.begun).take_if(|begun| begun.call == call && begun.total == body.len());
        let (called, room) = match begun {
            Some(begun) => (begun.called, begun.room),
            None => (self.client.call(), None),
        };
        if self.served.roster.is_leaving() {
            return self.reply(call, SentAnswer::Leaving);
        }
        let ask = match SentAsk::decode(&body) {
            Ok(ask) => ask,
            Err(e) => {
                let reason = format!("this release of the owner does not understand the call: {e}");
                return self.client.answer(call, failed(call, &Error::storage(reason)));
            }
        };
        match &ask {
            SentAsk::Ping => self.reply(call, SentAnswer::Heard),
            SentAsk::Handover => {
                (self.served.roster.options.handover)(&self.client.info());
                self.reply(call, SentAnswer::Heard);
            }
            SentAsk::Status => self.status(call),
            SentAsk::Append(_) | SentAsk::Fork(..) | SentAsk::Write(_) => {
                self.commit(call, &body, &ask, called, room).await;
            }
            SentAsk::Flush => self.flush(call, called),
            SentAsk::Verify => {
                let roster = self.served.roster.clone();
                self.admin(call, called, &self.served.walks, move |admin, client, call| {
                    verify(admin, client, &roster, call)
                });
            }
            SentAsk::Backup(to) => {
                let (roster, to) = (self.served.roster.clone(), PathBuf::from(to));
                self.admin(call, called, &self.served.walks, move |admin, client, call| {
                    backup(admin, client, &roster, call, &to)
                });
            }
            SentAsk::Figures => self.admin(call, called, &self.client.reads, |admin, _, call| {
                let figures = admin.figures()?;
                Ok(SentAnswer::Figures(sent_figures(&figures)).message(call, 128))
            }),
            _ => self.read(call, body.clone(), &ask, (called, room)),
        }
    }

    fn reply(&self, call: u64, answer: SentAnswer<'_>) {
        self.client.answer(call, answer.message(call, 64));
    }

    fn status(&self, call: u64) {
        let roster = &self.served.roster;
        let clients: Vec<ClientInfo> =
            roster.clients().iter().take(SHARED_CLIENTS).map(|client| client.info()).collect();
        let clients = clients.iter().map(|info| SentPeer {
            pid: info.pid,
            uid: info.uid,
            program: &info.program,
            rank: info.rank,
            since: info.since.micros(),
            queued: info.queued,
        });
        let owner = SentOwner {
            pid: std::process::id(),
            program: &program_name(&roster.options.program),
            rank: roster.options.rank,
            since: roster.since.micros(),
        };
        self.reply(call, SentAnswer::Status(SentStatus { owner, clients: Bounded(clients.collect()) }));
    }

    /// Commits are queued in the order in which they came.
    async fn commit(
        &self,
        call: u64,
        body: &Bytes,
        ask: &SentAsk<'_>,
        called: Called,
        room: Option<OwnedSemaphorePermit>,
    ) {
        let options = &self.served.roster.options;
        let takes = Takes { payload_bytes: options.payload_bytes, least: options.least };
        let waiting = permits(&self.client.bytes, body.len().min(SHARED_CLIENT_BYTES)).await;
        let commit = if body.len() > SHARED_FRAME_BYTES {
            // Many records take a while to check, and others have to be served meanwhile.
            let body = body.clone();
            let decoded = tokio::task::spawn_blocking(move || {
                let ask = SentAsk::decode(&body).ok()?;
                commit_of(&body, &ask, takes)
            });
            decoded.await.ok().flatten()
        } else {
            commit_of(body, ask, takes)
        };
        let commit = match commit {
            Some(Ok(commit)) => commit,
            Some(Err(e)) => return self.client.answer(call, failed(call, &e)),
            None => return self.client.answer(call, failed(call, &Error::storage("the call was not read"))),
        };
        let (engine, client) = (self.served.engine.clone(), self.client.clone());
        tokio::spawn(async move {
            let outcome = engine.submit(commit).await;
            client.answer(call, outcome_message(call, &outcome));
            drop((called, waiting, room));
        });
    }

    fn read(&self, call: u64, body: Bytes, ask: &SentAsk<'_>, held: (Called, Option<OwnedSemaphorePermit>)) {
        if is_in_memory(ask)
            && let Ok(reader) = self.served.engine.reader()
            && let Ok(Some(got)) = read_of(&*reader, ask, Look::InMemory)
        {
            return self.client.answer(call, got_message(call, &Ok(got)));
        }
        let (served, client) = (self.served.clone(), self.client.clone());
        tokio::spawn(async move {
            let turn = permits(&client.reads, 1).await;
            // Answers may be long: none is made before there is room for it.
            client.eased_until(|client| client.has_room() || served.roster.is_leaving()).await;
            if served.is_wanted(&client, call) {
                let engine = served.engine.clone();
                let read = move || {
                    let got = SentAsk::decode(&body)
                        .map_err(|e| Error::storage(e.to_string()))
                        .and_then(|ask| read_of(&*engine.reader()?, &ask, Look::Everywhere))
                        .and_then(|got| {
                            got.ok_or_else(|| Error::storage("the owner does not know this call"))
                        });
                    got_message(call, &got)
                };
                let message = tokio::task::spawn_blocking(read).await;
                client.answer(call, message.unwrap_or_else(|e| failed(call, &Error::storage(e))));
            }
            drop((held, turn));
        });
    }

    fn flush(&self, call: u64, called: Called) {
        let (engine, client) = (self.served.engine.clone(), self.client.clone());
        tokio::spawn(async move {
            let flushed = match engine.admin() {
                Some(admin) => admin.flush_async().await,
                None => Err(no_admin()),
            };
            let message = match &flushed {
                Ok(()) => SentAnswer::Flushed.message(call, 8),
                Err(e) => failed(call, e),
            };
            client.answer(call, message);
            drop(called);
        });
    }

    fn admin(
        &self,
        call: u64,
        called: Called,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&dyn Admin, &Client, u64) -> Result<Vec<u8>> + Send + 'static,
    ) {
        let (served, client, turns) = (self.served.clone(), self.client.clone(), turns.clone());
        tokio::spawn(async move {
            let turn = permits(&turns, 1).await;
            if !served.is_wanted(&client, call) {
                return;
            }
            tokio::task::spawn_blocking(move || {
                let done = match served.engine.admin() {
                    Some(admin) => work(admin, &client, call),
                    None => Err(no_admin()),
                };
                client.answer(call, done.unwrap_or_else(|e| failed(call, &e)));
                drop((called, turn));
            });
        });
    }
}

fn no_admin() -> Error {
    Error::storage("the owner's store has no file to look after")
}

/// Checks everything.
fn verify(admin: &dyn Admin, client: &Client, roster: &Roster, call: u64) -> Result<Vec<u8>> {
    match admin.verify(&mut |done, of| goes_on(client, roster, call, (done, of))) {
        Err(Error::Closed { .. }) if roster.is_leaving() => Ok(SentAnswer::Leaving.message(call, 8)),
        report => Ok(SentAnswer::Report(sent_report(&report?)).message(call, 128)),
    }
}

/// Copies everything into a file.
fn backup(admin: &dyn Admin, client: &Client, roster: &Roster, call: u64, to: &Path) -> Result<Vec<u8>> {
    match admin.backup(to, &mut |done, of| goes_on(client, roster, call, (done, of))) {
        Err(Error::Closed { .. }) if roster.is_leaving() => Ok(SentAnswer::Leaving.message(call, 8)),
        made => {
            let Backup { position, bytes, .. } = made?;
            Ok(SentAnswer::BackedUp(position.get(), bytes).message(call, 24))
        }
    }
}

/// Tells how far it is. Of progress that the client has not read, only the latest is kept. It ends when the owner is to leave
/// the file, which it would keep locked, and when the client has gone, and nobody waits for it.
fn goes_on(client: &Client, roster: &Roster, call: u64, (done, of): (u64, u64)) -> ControlFlow<()> {
    let message = SentAnswer::Progress(done, of).message(call, 24);
    client.post(|outbox| outbox.replace(call, message.into()));
    match roster.is_leaving() || client.look(|outbox| outbox.is_ended()) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// `None` never happens: nobody closes these.
async fn permits(of: &Arc<Semaphore>, count: usize) -> Option<OwnedSemaphorePermit> {
    of.clone().acquire_many_owned(count as u32).await.ok()
}
