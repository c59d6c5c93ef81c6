//! The shared engine behind the port.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::asking::wait;
use super::calls::Waiting;
use super::hello::{Lost, OwnerInfo, OwnerStatus};
use super::link::{Connection, Link, Turn};
use super::reader::SharedReader;
use crate::codec::link::{SentAnswer, SentAsk};
use crate::engine::backup::Backup;
use crate::engine::commit::{Commit, Outcome};
use crate::engine::compaction::Compaction;
use crate::engine::dead_space::DeadSpace;
use crate::engine::identity::Identity;
use crate::engine::port::{Admin, Engine, EngineReader, OnProgress, Submitted};
use crate::engine::process::Process;
use crate::engine::purged::Purged;
use crate::engine::report::{Figures, Report};
use crate::engine::shared::message::{dead_space_of, figures_of, report_of};
use crate::engine::shared::peer::{ClientInfo, NO_FILES_FROM_AFAR, Reach, program_name};
use crate::engine::watch::Watcher;
use crate::error::{Error, Result};
use crate::event::{Invalid, Position, Timestamp};

/// An engine whose storage is another process.
#[derive(Debug)]
pub(crate) struct SharedEngine {
    pub(super) connection: Arc<Connection>,
    pub(super) identity: Arc<Identity>,
    closed: AtomicBool,
}

impl Drop for SharedEngine {
    fn drop(&mut self) {
        self.process().keep(&self.connection);
    }
}

impl SharedEngine {
    pub(super) fn new(connection: Connection, identity: Identity) -> Self {
        Self {
            connection: Arc::new(connection),
            identity: Arc::new(identity),
            closed: AtomicBool::new(false),
        }
    }

    /// The owner.
    pub(crate) fn owner(&self) -> &OwnerInfo {
        &self.connection.0.owner
    }

    /// Called once, on the engine's own thread, when the owner leaves or is gone; at once when it already is. It returns at
    /// once.
    pub(crate) fn on_lost(&self, call: impl FnOnce(Lost) + Send + 'static) {
        if self.process().is_this() {
            self.connection.0.on_lost(Box::new(call));
        }
    }

    /// Whether the owner leaves or is gone.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> Option<Lost> {
        self.connection.0.lost()
    }

    /// Asks the owner to leave the store to this process.
    pub(crate) fn request_handover(&self) -> Result<()> {
        self.process().check()?;
        let link = &self.connection.0;
        let message = wait(link, link.ask_plain(SentAsk::Handover))?;
        match link.answered(&message)? {
            SentAnswer::Heard => Ok(()),
            other => Err(link.misunderstood(format!("{other:?}"))),
        }
    }

    /// Who owns the store, and who uses it.
    pub(crate) fn ask_owner(&self) -> Result<OwnerStatus> {
        self.process().check()?;
        let link = &self.connection.0;
        let message = wait(link, link.ask_plain(SentAsk::Status))?;
        let SentAnswer::Status(status) = link.answered(&message)? else {
            return Err(link.misunderstood("it does not say who owns the store"));
        };
        let clients = status.clients.0.iter().map(|peer| ClientInfo {
            pid: peer.pid,
            uid: peer.uid,
            program: program_name(peer.program),
            rank: peer.rank,
            since: Timestamp::from_micros(peer.since),
            queued: peer.queued,
        });
        Ok(OwnerStatus { owner: link.owner.clone(), clients: clients.collect() })
    }

    fn open(&self) -> Result<()> {
        self.process().check()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed { after: None }) } else { Ok(()) }
    }

    async fn write(&self, commit: Commit) -> Result<Outcome> {
        self.identity.writable()?;
        self.open()?;
        self.connection.0.commit(commit).await
    }
}

impl Engine for SharedEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn process(&self) -> &Process {
        &self.connection.0.process
    }

    fn committed(&self) -> Position {
        match self.process().is_this() {
            true => self.connection.0.told.committed(),
            false => Position::ZERO,
        }
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        wait(&self.connection.0, self.write(commit))
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(self.write(commit))
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        self.open()?;
        let (connection, identity) = (self.connection.clone(), self.identity.clone());
        Ok(Arc::new(SharedReader { connection, identity }))
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        if self.process().is_this() {
            self.connection.0.told.watch(watcher);
        }
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn close(&self) -> Result<()> {
        self.process().check()?;
        let first = !self.closed.swap(true, Ordering::AcqRel);
        // Commits that were begun are answered first.
        self.connection.0.settle();
        if first {
            self.connection.0.told.close();
        }
        Ok(())
    }
}

impl Admin for SharedEngine {
    fn flush(&self) -> Result<()> {
        wait(&self.connection.0, self.flush_async())
    }

    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async {
            self.identity.writable()?;
            self.open()?;
            let link = &self.connection.0;
            let message = link.ask_plain(SentAsk::Flush).await?;
            match link.answered(&message)? {
                SentAnswer::Flushed => Ok(()),
                other => Err(link.misunderstood(format!("{other:?}"))),
            }
        })
    }

    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
        self.walk(
            &SentAsk::Verify,
            |answer| match answer {
                SentAnswer::Report(report) => Some(report_of(report)),
                _ => None,
            },
            progress,
        )
    }

    fn backup(&self, to: &Path, since: Option<&Path>, progress: &mut OnProgress<'_>) -> Result<Backup> {
        if self.connection.0.reach == Reach::Remote {
            if since.is_none() {
                return self.copy(to, progress);
            }
            let store = self.identity.name.clone();
            return Err(Error::Refused { store, reason: NO_FILES_FROM_AFAR.to_owned() });
        }
        let ask = match since {
            None => SentAsk::Backup(told(to)?),
            Some(since) => SentAsk::BackupSince(told(since)?, told(to)?),
        };
        let made = |position: u64, bytes, since: Option<u64>| Backup {
            path: to.to_owned(),
            position: Position::new(position),
            since: since.map(Position::new),
            bytes,
        };
        self.walk(
            &ask,
            |answer| match answer {
                SentAnswer::BackedUp(position, bytes) => Some(made(*position, *bytes, None)),
                SentAnswer::BackedUpSince(position, bytes, since) => {
                    Some(made(*position, *bytes, Some(*since)))
                }
                _ => None,
            },
            progress,
        )
    }

    fn compact(&self, progress: &mut OnProgress<'_>) -> Result<Compaction> {
        self.identity.writable()?;
        self.walk(
            &SentAsk::Compact,
            |answer| match answer {
                SentAnswer::Compacted(before, after) => Some(Compaction { before: *before, after: *after }),
                _ => None,
            },
            progress,
        )
    }

    fn purge(&self, progress: &mut OnProgress<'_>) -> Result<Purged> {
        self.identity.writable()?;
        self.walk(
            &SentAsk::Purge,
            |answer| match answer {
                SentAnswer::Purged(events, bytes) => Some(Purged::new(*events, *bytes)),
                _ => None,
            },
            progress,
        )
    }

    fn figures(&self) -> Result<Figures> {
        self.open()?;
        let link = &self.connection.0;
        let message = wait(link, link.ask_plain(SentAsk::Figures))?;
        match link.answered(&message)? {
            SentAnswer::Figures(figures) => Ok(figures_of(&figures)),
            other => Err(link.misunderstood(format!("{other:?}"))),
        }
    }

    /// An owner of an earlier release does not know the question.
    fn dead_space(&self) -> Result<Option<DeadSpace>> {
        self.open()?;
        let link = &self.connection.0;
        let message = wait(link, link.ask_plain(SentAsk::DeadSpace))?;
        match link.answered(&message) {
            Ok(SentAnswer::DeadSpace(dead)) => Ok(dead.map(|dead| dead_space_of(&dead))),
            Ok(other) => Err(link.misunderstood(format!("{other:?}"))),
            Err(Error::Storage { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// A path as it is told to the owner.
fn told(path: &Path) -> Result<&str> {
    let reason = || format!("{} is not UTF-8, so it cannot be named to the store's owner", path.display());
    path.to_str().ok_or_else(|| Invalid::new("path", reason()).into())
}

/// A walk of the owner, which ends with whoever waits for it.
struct Walking<'a> {
    link: &'a Link,
    /// `None` once it was answered.
    call: Option<u64>,
}

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.link.forget(call);
            self.link.give_up(call);
        }
    }
}

impl SharedEngine {
    /// Asks for what takes long, and tells how far it is until it is answered.
    pub(super) fn walk<T>(
        &self,
        ask: &SentAsk<'_>,
        answer_of: impl Fn(&SentAnswer<'_>) -> Option<T>,
        progress: &mut OnProgress<'_>,
    ) -> Result<T> {
        self.open()?;
        let link = &self.connection.0;
        let (told, mut answers) = mpsc::unbounded_channel();
        let ask = |call| ask.clone().message(call, 64);
        let Some(call) = link.call(|| Waiting::Several(told), ask, Turn::Soon) else {
            return Err(Error::OwnerLost { owner: link.owner.pid });
        };
        let mut begun = Walking { link, call: Some(call) };
        loop {
            let answer = wait(link, answers.recv());
            let Some(answer) = answer else { return Err(Error::OwnerLost { owner: link.owner.pid }) };
            let message = answer.map_err(|why| link.unanswered(why))?;
            match link.answered(&message)? {
                SentAnswer::Progress(done, of) => {
                    if progress(done, of).is_break() {
                        return Err(Error::Closed { after: None });
                    }
                }
                answer => {
                    begun.call = None;
                    return answer_of(&answer).ok_or_else(|| link.misunderstood(format!("{answer:?}")));
                }
            }
        }
    }
}
