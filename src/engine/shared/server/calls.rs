//! Carrying out the calls of a client.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::chore::Chore;
use super::client::{Called, Client};
use super::copying::Copying;
use super::lead::Lead;
use super::roster::Roster;
use super::served_engine::ServedEngine;
use crate::codec::Bounded;
use crate::codec::link::{SentAnswer, SentAsk, SentOwner, SentPeer, SentStatus};
use crate::engine::backup::Backup;
use crate::engine::commit::Outcome;
use crate::engine::compaction::Compaction;
use crate::engine::port::{Admin, OnProgress};
use crate::engine::shared::message::{
    Look, Takes, commit_of, failed, got_message, is_in_memory, outcome_message, read_of, sent_dead_space,
    sent_figures, sent_report,
};
use crate::engine::shared::peer::{ClientInfo, NO_FILES_FROM_AFAR, Reach, program_name};
use crate::error::{Error, Result};
use crate::files::mark_purged;
use crate::limits::{SHARED_CLIENT_BYTES, SHARED_CLIENTS, SHARED_FRAME_BYTES, SHARED_INTAKE_BYTES};
use crate::sync::{Mutex, lock};

const KIB: usize = 1_024;

pub(super) struct Calls {
    served: ServedEngine,
    pub(super) client: Arc<Client>,
    /// The message of several frames that has begun.
    begun: Mutex<Option<BegunMessage>>,
    /// A turn to make commits was taken, and its task has not begun.
    lead_waits: Arc<AtomicBool>,
    copying: Copying,
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
        let (begun, lead_waits, copying) = (Mutex::default(), Arc::default(), Copying::default());
        Self { served, client, begun, lead_waits, copying }
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

    pub(super) fn is_leaving(&self) -> bool {
        self.served.roster.is_leaving()
    }

    /// Begins a call. Returns when the next one may begin. `last` when nothing else has come in.
    pub(super) async fn begin(&self, call: u64, body: Bytes, last: bool) {
        if self.lead_waits.load(Ordering::Acquire) {
            // Until it leads nobody commits.
            tokio::task::yield_now().await;
        }
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
            SentAsk::Backup(_) | SentAsk::BackupSince(..) if self.client.reach == Reach::Remote => {
                self.client.answer(call, failed(call, &Error::storage(NO_FILES_FROM_AFAR)));
            }
            SentAsk::Handover => {
                (self.served.roster.options.handover)(&self.client.info());
                self.reply(call, SentAnswer::Heard);
            }
            SentAsk::Status => self.status(call),
            SentAsk::Append(_)
            | SentAsk::AppendForking(..)
            | SentAsk::Fork(..)
            | SentAsk::Write(_)
            | SentAsk::Change(_) => {
                self.commit(call, &body, &ask, (called, room), last).await;
            }
            SentAsk::Flush => self.flush(call, called),
            SentAsk::Verify => self.walk(call, called, verify),
            SentAsk::Purge => {
                let path = self.served.engine.identity().path.clone();
                self.walk(call, called, move |admin, call, progress| {
                    purge(admin, path.as_deref(), call, progress)
                });
            }
            SentAsk::GiveUp(walk) => {
                self.client.walks_no_more(*walk);
                self.reply(call, SentAnswer::Heard);
            }
            SentAsk::Backup(to) => {
                let to = PathBuf::from(to);
                let made = move |admin: &dyn Admin, call, progress: &mut OnProgress<'_>| {
                    backup(admin, call, (&to, None), progress)
                };
                self.walk(call, called, made);
            }
            SentAsk::BackupSince(since, to) => {
                let (since, to) = (PathBuf::from(since), PathBuf::from(to));
                let made = move |admin: &dyn Admin, call, progress: &mut OnProgress<'_>| {
                    backup(admin, call, (&to, Some(&since)), progress)
                };
                self.walk(call, called, made);
            }
            SentAsk::Compact => self.walk(call, called, compact),
            SentAsk::Copy => {
                let (copying, path) = (self.copying.clone(), self.served.engine.identity().path.clone());
                self.walk(call, called, move |admin, call, progress| {
                    let (position, bytes) = copying.make(admin, path.as_deref(), progress)?;
                    Ok(SentAnswer::Copied(position, bytes).message(call, 32))
                });
            }
            SentAsk::CopyPart(from) => {
                let (copying, from) = (self.copying.clone(), *from);
                self.in_turn(call, (called, room), move |served| match copying.part(from) {
                    Ok(part) => SentAnswer::CopyPart(&part).message(call, part.len() + 16),
                    Err(e) => served.failed(call, &e),
                });
            }
            SentAsk::Figures => self.admin(call, called, &self.client.reads, |admin, _, call| {
                let figures = admin.figures()?;
                Ok(SentAnswer::Figures(sent_figures(&figures)).message(call, 128))
            }),
            SentAsk::DeadSpace => self.admin(call, called, &self.client.reads, |admin, _, call| {
                let dead = admin.dead_space()?.as_ref().map(sent_dead_space);
                Ok(SentAnswer::DeadSpace(dead).message(call, 64))
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
        held: (Called, Option<OwnedSemaphorePermit>),
        last: bool,
    ) {
        let options = &self.served.roster.options;
        let takes = Takes { payload_bytes: options.payload_bytes, least: options.least };
        let waiting = permits(&self.client.bytes, body.len().min(SHARED_CLIENT_BYTES)).await;
        let commit = if body.len() > SHARED_FRAME_BYTES {
            // Many records take a while to check, and others have to be served meanwhile.
            let body = body.clone();
            let turn = permits(&self.served.reads, 1).await;
            let decoded = tokio::task::spawn_blocking(move || {
                let _turn = turn;
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
        let (served, client) = (self.served.clone(), self.client.clone());
        let outlives = commit.outlives_its_engine();
        let answer = move |client: &Client, outcome: &Result<Outcome>| {
            let message = match outcome {
                Err(e) => served.refused(call, e, outlives),
                outcome => outcome_message(call, outcome),
            };
            match served.roster.hears_of_answers {
                true => client.look(|outbox| outbox.send(call, message.into())),
                false => client.post(|outbox| outbox.send(call, message.into())),
            };
            drop((held, waiting));
        };
        let engine = self.served.engine.clone();
        // One that comes alone is made on this thread, and nobody has to wake up for it.
        let lead = if last && client.calls() == 1 { Lead::take(&engine) } else { None };
        // Whoever makes it answers it, and writes the answers to a group when they are all there.
        let answering = client.clone();
        Chore::begin(async move { answer(&answering, &engine.submit(commit).await) });
        if let Some(lead) = lead {
            // It blocks, and leaves the other tasks of this thread to another, the calls of this client among them.
            let waits = self.lead_waits.clone();
            waits.store(true, Ordering::Release);
            tokio::spawn(async move {
                waits.store(false, Ordering::Release);
                tokio::task::block_in_place(|| lead.lead());
            });
        }
        if client.has_mail() {
            client.written.notify_one();
        }
    }

    fn read(&self, call: u64, body: Bytes, ask: &SentAsk<'_>, held: (Called, Option<OwnedSemaphorePermit>)) {
        if is_in_memory(ask)
            && let Ok(reader) = self.served.engine.reader()
            && let Ok(Some(got)) = read_of(&*reader, ask, Look::InMemory)
        {
            return self.client.answer(call, got_message(call, &Ok(got)));
        }
        self.in_turn(call, held, move |served| {
            let got = SentAsk::decode(&body)
                .map_err(|e| Error::storage(e.to_string()))
                .and_then(|ask| read_of(&*served.engine.reader()?, &ask, Look::Everywhere))
                .and_then(|got| got.ok_or_else(|| Error::storage("the owner does not know this call")));
            match got {
                Err(e) => served.failed(call, &e),
                got => got_message(call, &got),
            }
        });
    }

    /// Answers a call with what takes a while to find, and may be long, once there is room for it.
    fn in_turn(
        &self,
        call: u64,
        held: (Called, Option<OwnedSemaphorePermit>),
        find: impl FnOnce(&ServedEngine) -> Vec<u8> + Send + 'static,
    ) {
        let (served, client) = (self.served.clone(), self.client.clone());
        tokio::spawn(async move {
            let own = permits(&client.reads, 1).await;
            // Answers may be long: none is made before there is room for it, and a client that does not read them holds up no
            // other.
            let turn = loop {
                client.eased_until(|client| client.has_room() || served.roster.is_leaving()).await;
                let turn = permits(&served.reads, 1).await;
                if client.has_room() || served.roster.is_leaving() {
                    break (own, turn);
                }
            };
            if served.is_wanted(&client, call) {
                let finding = served.clone();
                let message = tokio::task::spawn_blocking(move || find(&finding)).await;
                client.answer(call, message.unwrap_or_else(|e| failed(call, &Error::storage(e))));
            }
            drop((held, turn));
        });
    }

    fn flush(&self, call: u64, called: Called) {
        let (served, client) = (self.served.clone(), self.client.clone());
        tokio::spawn(async move {
            let flushed = match served.engine.admin() {
                Some(admin) => admin.flush_async().await,
                None => Err(no_admin()),
            };
            let message = match &flushed {
                Ok(()) => SentAnswer::Flushed.message(call, 8),
                Err(e) => served.failed(call, e),
            };
            client.answer(call, message);
            drop(called);
        });
    }

    /// What takes long, and tells how far it is. One at a time.
    fn walk(
        &self,
        call: u64,
        called: Called,
        work: impl FnOnce(&dyn Admin, u64, &mut OnProgress<'_>) -> Result<Vec<u8>> + Send + 'static,
    ) {
        let roster = self.served.roster.clone();
        self.client.walks(call);
        self.admin(call, called, &self.served.walks, move |admin, client, call| {
            work(admin, call, &mut |done, of| goes_on(client, &roster, call, (done, of)))
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
            let turn = (turn, permits(&served.reads, 1).await);
            if !served.is_wanted(&client, call) {
                return;
            }
            let (working, at_work) = (client.clone(), served.clone());
            let done = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                match at_work.engine.admin() {
                    Some(admin) => work(admin, &working, call),
                    None => Err(no_admin()),
                }
            });
            // One that panicked is answered as well.
            let done = done.await.unwrap_or_else(|e| Err(Error::storage(e)));
            client.walks_no_more(call);
            client.answer(call, done.unwrap_or_else(|e| served.failed(call, &e)));
            drop(called);
        });
    }
}

fn no_admin() -> Error {
    Error::storage("the owner's store has no file to look after")
}

/// Checks everything.
fn verify(admin: &dyn Admin, call: u64, progress: &mut OnProgress<'_>) -> Result<Vec<u8>> {
    Ok(SentAnswer::Report(sent_report(&admin.verify(progress)?)).message(call, 128))
}

/// Removes what is gone. The words of it that lie beside the file are out of reach for a client on another machine.
fn purge(
    admin: &dyn Admin,
    path: Option<&Path>,
    call: u64,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<u8>> {
    let mark = || {
        if let Some(Err(error)) = path.map(mark_purged) {
            tracing::warn!(%error, "words of purged events may stay in the search index; delete its folder");
        }
    };
    mark();
    let purged = admin.purge(progress);
    mark();
    let purged = purged?;
    Ok(SentAnswer::Purged(purged.events, purged.bytes).message(call, 24))
}

/// Copies everything into a file, or what has changed since an earlier backup.
fn backup(
    admin: &dyn Admin,
    call: u64,
    (to, since): (&Path, Option<&Path>),
    progress: &mut OnProgress<'_>,
) -> Result<Vec<u8>> {
    let Backup { position, since, bytes, .. } = admin.backup(to, since, progress)?;
    let answer = match since {
        None => SentAnswer::BackedUp(position.get(), bytes),
        Some(since) => SentAnswer::BackedUpSince(position.get(), bytes, since.get()),
    };
    Ok(answer.message(call, 32))
}

/// Copies everything into a file that takes the place of the store's.
fn compact(admin: &dyn Admin, call: u64, progress: &mut OnProgress<'_>) -> Result<Vec<u8>> {
    let Compaction { before, after } = admin.compact(progress)?;
    Ok(SentAnswer::Compacted(before, after).message(call, 24))
}

/// Tells how far it is. Of progress that the client has not read, only the latest is kept. It ends when the owner is to leave
/// the file, which it would keep locked, and when the client has gone, or has something else to do.
fn goes_on(client: &Client, roster: &Roster, call: u64, (done, of): (u64, u64)) -> ControlFlow<()> {
    let message = SentAnswer::Progress(done, of).message(call, 24);
    client.post(|outbox| outbox.replace(call, message.into()));
    match roster.is_leaving() || !client.is_walking(call) || !client.is_there() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// `None` never happens: nobody closes these.
async fn permits(of: &Arc<Semaphore>, count: usize) -> Option<OwnedSemaphorePermit> {
    of.clone().acquire_many_owned(count as u32).await.ok()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::time::Duration;

    use super::*;
    use crate::engine::Durability;
    use crate::engine::port::OnProgress;
    use crate::engine::purged::Purged;
    use crate::engine::report::{Figures, Report};
    use crate::engine::shared::peer::Reach;
    use crate::engine::shared::server::ServerOptions;
    use crate::engine::shared::socket::Socket;
    use crate::event::Timestamp;

    /// A walk whose client gives it up on the way.
    struct Walk(Arc<Client>);

    impl Admin for Walk {
        fn flush(&self) -> Result<()> {
            Err(no_admin())
        }

        fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
            Box::pin(async { Err(no_admin()) })
        }

        fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
            assert!(progress(1, 10).is_continue());
            self.0.walks_no_more(6);
            assert!(progress(2, 10).is_continue(), "that was another call");
            self.0.walks_no_more(7);
            assert!(progress(3, 10).is_break(), "nobody waits for it");
            Err(Error::Closed { after: None })
        }

        fn backup(&self, _: &Path, _: Option<&Path>, _: &mut OnProgress<'_>) -> Result<Backup> {
            Err(no_admin())
        }

        fn compact(&self, _: &mut OnProgress<'_>) -> Result<Compaction> {
            Err(no_admin())
        }

        fn purge(&self, _: &mut OnProgress<'_>) -> Result<Purged> {
            Err(no_admin())
        }

        fn figures(&self) -> Result<Figures> {
            Err(no_admin())
        }
    }

    #[tokio::test]
    async fn a_walk_over_the_store_ends_when_its_client_does_not_wait_for_it_any_more() {
        let (own, _other) = tokio::net::UnixStream::pair().unwrap();
        let info = ClientInfo {
            pid: 1,
            uid: 1,
            program: "cli".to_owned(),
            rank: 0,
            since: Timestamp::now(),
            queued: 0,
        };
        let client = Client::new(
            (info, Reach::Local),
            Arc::new(Socket::of(own).unwrap()),
            Duration::from_secs(9),
            Arc::default(),
        );
        let client = Arc::new(client);
        let options = ServerOptions {
            program: "app".to_owned(),
            rank: 0,
            payload_bytes: 1_000,
            least: Durability::Durable,
            handover: Arc::new(|_| ()),
        };
        client.walks(7);
        let roster = Roster::new(options, true);
        let told = &mut |done, of| goes_on(&client, &roster, 7, (done, of));
        assert!(verify(&Walk(client.clone()), 7, told).is_err());
    }
}
