//! The seam between the store and what keeps its bytes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::commit::{Commit, Outcome};
use super::get::{Get, Got};
use super::identity::Identity;
use super::process::Process;
use super::report::{Figures, Report};
use super::watch::Watcher;
use crate::error::Result;
use crate::event::Position;

/// The answer to a commit, when it comes. Once begun it happens or fails as a whole, also when this is dropped.
pub(crate) type Submitted<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + Send + 'a>>;

/// An open store below its handles.
///
/// It assigns branch numbers, positions, and a recorded time that never decreases. What it has answered is durable, unless
/// the commit was relaxed; what is committed is readable before it is answered, and watchers are told of it before.
pub(crate) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// What is said of the store once it is open.
    fn identity(&self) -> &Identity;

    /// The process that opened it.
    fn process(&self) -> &Process;

    /// The last position that is committed; zero in another process than the one that opened the store.
    fn committed(&self) -> Position;

    /// Decides, writes and answers; waits for room before. Blocks, and may do the work of others in this thread.
    ///
    /// # Errors
    /// What the decision refuses; [`Error::Unknown`](crate::Error::Unknown) when it may be on the disk all the same;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Closed`](crate::Error::Closed).
    fn commit(&self, commit: Commit) -> Result<Outcome>;

    /// [`commit`](Self::commit) for tasks: it never blocks the thread that polls.
    fn submit(&self, commit: Commit) -> Submitted<'_>;

    /// A reader, which keeps the store readable until it is dropped, also beyond `close`.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::OtherProcess`](crate::Error::OtherProcess).
    fn reader(&self) -> Result<Arc<dyn EngineReader>>;

    /// Tells of every commit from here on, for as long as the watcher lives.
    fn watch(&self, watcher: &Arc<dyn Watcher>);

    /// What only some engines can do.
    fn admin(&self) -> Option<&dyn Admin>;

    /// Takes nothing more, writes what is queued, and lets go of the storage, which is free once readers have too. Closing
    /// again does nothing. Blocks.
    ///
    /// # Errors
    /// Why the last of it could not be written.
    fn close(&self) -> Result<()>;
}

/// Reads. A read is one call and one moment; nothing is held between two calls but the right to ask again.
pub(crate) trait EngineReader: fmt::Debug + Send + Sync + 'static {
    /// What is said of the store.
    fn identity(&self) -> &Identity;

    /// The process that opened the store.
    fn process(&self) -> &Process;

    /// The last position that is committed.
    fn committed(&self) -> Position;

    /// The answer as of one moment. Blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt), [`Error::Storage`](crate::Error::Storage).
    fn read(&self, get: &Get<'_>) -> Result<Got>;

    /// The answer, if memory has it: never blocks.
    ///
    /// # Errors
    /// [`Error::OtherProcess`](crate::Error::OtherProcess).
    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>>;
}

/// What an engine of files can do, and one on a server need not.
pub(crate) trait Admin: Send + Sync {
    /// Moves what is journalled to where it is kept.
    fn flush(&self) -> Result<()>;

    /// [`flush`](Self::flush) for tasks.
    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>;

    /// Walks everything. Tells how many events of how many it has seen.
    fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Report>;

    /// Figures, at a cost that does not depend on how much is stored.
    fn figures(&self) -> Result<Figures>;
}
