//! The port between the store and its storage.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use super::backup::Backup;
use super::commit::{Commit, Outcome};
use super::compaction::Compaction;
use super::dead_space::DeadSpace;
use super::get::{Get, Got};
use super::identity::Identity;
use super::moving::Moving;
use super::ownership::StoreOwner;
use super::process::Process;
use super::purged::Purged;
use super::report::{Figures, Report};
use super::watch::Watcher;
use crate::error::Result;
use crate::event::{EventId, Position};

/// The outcome of a commit. Once begun, it happens or fails as a whole even if this is dropped.
pub(crate) type Submitted<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + Send + 'a>>;

/// An open store, below its handles.
///
/// It assigns branch numbers, positions, and recorded times that never decrease. An acknowledged commit is durable,
/// unless it was relaxed. A commit is readable, and watchers have seen it, before it is acknowledged.
pub(crate) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Properties of the open store.
    fn identity(&self) -> &Identity;

    /// Which opening of the storage this is now: see [`Identity::opening`]. It changes when another process takes the
    /// storage over.
    fn opening(&self) -> EventId {
        self.identity().opening
    }

    /// The process that opened it.
    fn process(&self) -> &Process;

    /// The last position that is known to be committed, from memory: at least that of everything that was answered or told
    /// of, since this opening of the storage. Where other processes write too, they may have committed more, which a read
    /// finds. Zero in another process than the one that opened the store.
    fn committed(&self) -> Position;

    /// Decides, writes and acknowledges, after waiting for room. Blocks, and may do other callers' work on this
    /// thread.
    ///
    /// # Errors
    /// What the decision refuses; [`Error::Unknown`](crate::Error::Unknown) when it may be on disk all the same;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Closed`](crate::Error::Closed).
    fn commit(&self, commit: Commit) -> Result<Outcome>;

    /// [`commit`](Self::commit) for tasks: polling never blocks.
    fn submit(&self, commit: Commit) -> Submitted<'_>;

    /// Whether watchers hear when whoever waited for a commit [has the answer](Watcher::answered).
    fn tells_of_answers(&self) -> bool {
        false
    }

    /// Takes the turn to make what is submitted, when nobody has it and the engine has such turns. Whoever has it
    /// [leads](Self::lead) soon, or [passes it](Self::pass_lead): until then nothing is committed.
    fn take_lead(&self) -> bool {
        false
    }

    /// Makes a group of what was submitted, with a turn that was taken. Blocks.
    fn lead(&self) {}

    /// Leaves the turn that was taken to a thread of the engine.
    fn pass_lead(&self) {}

    /// A reader, which keeps the store readable until it is dropped, even after `close`.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::OtherProcess`](crate::Error::OtherProcess).
    fn reader(&self) -> Result<Arc<dyn EngineReader>>;

    /// Tells of every commit from here on, for as long as the watcher lives.
    fn watch(&self, watcher: &Arc<dyn Watcher>);

    /// Operations that only some engines have.
    fn admin(&self) -> Option<&dyn Admin>;

    /// Which process has the storage, and which others use it; `None` where no other process can. Blocks.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), and that the owner does not answer.
    fn owner(&self) -> Result<Option<StoreOwner>> {
        Ok(None)
    }

    /// Accepts nothing more, writes what is queued, and releases the storage as soon as readers do. Closing again
    /// does nothing. Blocks.
    ///
    /// # Errors
    /// Why the last writes failed.
    fn close(&self) -> Result<()>;
}

/// Reads. A read is one call and one moment; nothing is pinned between calls.
pub(crate) trait EngineReader: fmt::Debug + Send + Sync + 'static {
    /// Properties of the store.
    fn identity(&self) -> &Identity;

    /// The process that opened the store.
    fn process(&self) -> &Process;

    /// Which opening of the storage is read now, as [`Engine::opening`]; `None` while there is none.
    fn opening(&self) -> Option<EventId> {
        Some(self.identity().opening)
    }

    /// The last position that is known to be committed, as [`Engine::committed`].
    fn committed(&self) -> Position;

    /// The answer as of one moment. Blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt), [`Error::Storage`](crate::Error::Storage).
    fn read(&self, get: &Get<'_>) -> Result<Got>;

    /// The answer, if it is in memory; never blocks.
    ///
    /// # Errors
    /// [`Error::OtherProcess`](crate::Error::OtherProcess).
    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>>;
}

/// Told how many were done, out of how many. Ends what it is told of when it breaks.
pub(crate) type OnProgress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// Operations of an engine on files, which one on a server need not have.
pub(crate) trait Admin: Send + Sync {
    /// Moves the journal into the tables.
    fn flush(&self) -> Result<()>;

    /// [`flush`](Self::flush) for tasks.
    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;

    /// Checks everything. Reports how many events out of how many were checked.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) when it was ended by `progress`, or by closing the store meanwhile.
    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report>;

    /// Copies everything that is committed now into a new file of this absolute path, or what has changed since an earlier backup
    /// in another. Reports how many events out of how many were copied.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) when there is something under that name;
    /// [`Error::NotABase`](crate::Error::NotABase) when the store does not go on from where the earlier one ended;
    /// [`Error::Closed`](crate::Error::Closed) when it was ended by `progress`; [`Error::Corrupt`](crate::Error::Corrupt).
    fn backup(&self, to: &Path, since: Option<&Path>, progress: &mut OnProgress<'_>) -> Result<Backup>;

    /// Copies the store into a new file that takes the place of its own, and is as large as what is in it. Reads and appends go
    /// on meanwhile. Reports how many rows out of how many were copied.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) when it was ended by `progress`, or by closing the store meanwhile;
    /// [`Error::Corrupt`](crate::Error::Corrupt). After an error the store is in the file where it was.
    fn compact(&self, progress: &mut OnProgress<'_>) -> Result<Compaction>;

    /// Tells of each such change of the file.
    fn tell_of_moves(&self, _: &Arc<dyn Moving>) {}

    /// Removes for good what was deleted or truncated and no branch has any more, in steps between which commits go on. Reports
    /// how many events were removed.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) when it was ended by `progress`: what was removed by then is.
    fn purge(&self, progress: &mut OnProgress<'_>) -> Result<Purged>;

    /// Figures, at a cost that does not depend on how much is stored.
    fn figures(&self) -> Result<Figures>;

    /// What of its file it could do without, at a cost that is bounded; `None` where nobody can say.
    fn dead_space(&self) -> Result<Option<DeadSpace>> {
        Ok(None)
    }
}
