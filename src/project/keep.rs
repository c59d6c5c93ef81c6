//! The handle's other half: what is kept up behind the writer, how far it is, and what can be done about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::read::Source;
use super::run::Runner;
use super::signal::{Command, Retried};
use super::task::{Rebuild, RebuildProgress};
use super::view::Projected;
use crate::error::{Error, Result};

impl<S> Projected<S> {
    /// How many positions the snapshots are behind what is committed, whoever writes them. Answers are exact all the same; they fold so
    /// much more.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn lag(&self) -> Result<u64> {
        let reader = self.store.reader()?;
        let committed = reader.committed().get();
        let followed = match self.status.as_ref().filter(|status| status.holds()) {
            Some(status) => status.position.load(Ordering::Relaxed),
            None => Source::new(&reader, &self.fold)?.built.map_or(0, |built| built.position),
        };
        Ok(committed.saturating_sub(followed))
    }

    /// Blocks until everything that is committed now is folded, rebuilds included, and the states of all heads that
    /// it touched are written. While another process keeps the states up, until it has come so far; what it leaves undone
    /// is done here once its lease has run out.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for a store that is only read; [`Error::Closed`]; [`Error::Storage`] with the reason when
    /// the projection has stopped.
    pub fn catch_up(&self) -> Result<()> {
        self.runner()?.signal.ask(Command::CatchUp)?;
        match self.status.as_ref().and_then(|status| status.failed()) {
            Some(reason) => {
                Err(Error::storage(format!("projection {} has stopped: {reason}", self.fold.name)))
            }
            None => Ok(()),
        }
    }

    /// Builds all states again, beside those that are there, which are read until the new ones take their place. One
    /// that goes on already is answered.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process keeps the states up, or rebuilds them; [`Error::ReadOnly`] for a store that
    /// is only read; [`Error::Closed`].
    pub fn rebuild(&self) -> Result<Rebuild> {
        let name = self.fold.name.clone();
        self.runner()?.signal.ask(|reply| Command::Rebuild(name, reply)).map(Rebuild)
    }

    /// The rebuild that goes on, on demand or for a changed version. `None` in a forked child.
    #[must_use]
    pub fn rebuilding(&self) -> Option<Rebuild> {
        if !self.store.handle().process().is_this() {
            return None;
        }
        self.status.as_ref()?.task().map(Rebuild)
    }

    /// How far that is.
    #[must_use]
    pub fn progress(&self) -> Option<RebuildProgress> {
        self.rebuilding().map(|rebuild| rebuild.progress())
    }

    /// Folds what is parked again, from the event that failed on: after its fault was mended.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process keeps the states up; [`Error::ReadOnly`] for a store that is only read; [`Error::Closed`].
    pub fn retry(&self) -> Result<Retried> {
        let name = self.fold.name.clone();
        self.runner()?.signal.ask(|reply| Command::Retry(name, None, reply))
    }

    /// [`retry`](Self::retry) of one branch, session or key alone.
    ///
    /// # Errors
    /// As [`retry`](Self::retry); [`Error::NotFound`] when it is not parked.
    pub fn retry_of(&self, of: &str) -> Result<Retried> {
        let (name, of) = (self.fold.name.clone(), Some(of.to_owned()));
        self.runner()?.signal.ask(|reply| Command::Retry(name, of, reply))
    }

    fn runner(&self) -> Result<Arc<Runner>> {
        let handle = self.store.handle();
        match handle.read_only() {
            true => Err(Error::ReadOnly { path: handle.name().to_owned() }),
            false => Runner::of(&self.store),
        }
    }
}
