//! A thread that flushes one layer of the tail while the next one grows, so that appends continue.

use std::sync::{Arc, PoisonError};

use super::into_tables::{Flushed, flush_into};
use super::meta::meta_after;
use crate::codec::JournalMark;
use crate::engine::file::contents::Contents;
use crate::engine::file::in_memory::layer::Layer;
use crate::engine::file::redb_errors::guarded;
use crate::error::{Error, Result};
use crate::sync::lock;
use crate::sync::{Condvar, Mutex, fault};

/// A layer that no longer changes, and what the meta row says once it is in the tables.
#[derive(Debug)]
pub(crate) struct FlushRequest {
    pub(crate) layer: Arc<Layer>,
    pub(crate) next_branch: u64,
    pub(crate) journal: JournalMark,
}

#[derive(Debug, Default)]
struct State {
    request: Option<FlushRequest>,
    busy: bool,
    /// A flush is done that the writer has not noticed yet.
    done: bool,
    failed: Option<Error>,
    dismissed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Flusher {
    state: Mutex<State>,
    changed: Condvar,
}

impl Flusher {
    /// Hands it a layer. [`take_note`](Self::take_note) must have reported the previous one.
    pub(crate) fn give(&self, request: FlushRequest) {
        let mut state = lock(&self.state);
        debug_assert!(!state.busy && !state.done, "one layer at a time");
        (state.request, state.busy) = (Some(request), true);
        self.changed.notify_all();
    }

    /// Whether it can take a layer. After a failure it never can: that layer stays in the tail.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        !state.busy && !state.done && state.failed.is_none()
    }

    /// Whether it has a layer to flush.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.state).busy
    }

    /// `true` once after each flushed layer; after a failed flush, always its error.
    pub(crate) fn take_note(&self) -> Result<bool> {
        let mut state = lock(&self.state);
        match &state.failed {
            Some(error) => Err(error.clone()),
            None => Ok(std::mem::take(&mut state.done)),
        }
    }

    /// Blocks until it is idle.
    pub(crate) fn wait(&self) {
        let mut state = lock(&self.state);
        while state.busy {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the thread, after the layer that it is flushing.
    pub(crate) fn dismiss(&self) {
        lock(&self.state).dismissed = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<FlushRequest> {
        let mut state = lock(&self.state);
        loop {
            if let Some(request) = state.request.take() {
                return Some(request);
            }
            if state.dismissed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, outcome: Result<()>) {
        let mut state = lock(&self.state);
        state.busy = false;
        match outcome {
            Ok(()) => state.done = true,
            Err(error) => state.failed = Some(error),
        }
        self.changed.notify_all();
    }
}

/// The thread's loop.
pub(crate) fn flush_in_turn(flusher: &Flusher, contents: &Contents) {
    while let Some(request) = flusher.next() {
        let outcome = flush(contents, &request);
        if let Err(error) = &outcome {
            tracing::error!(%error, "flushing failed; the store accepts no more writes");
        }
        drop(request);
        flusher.finish(outcome);
    }
}

fn flush(contents: &Contents, request: &FlushRequest) -> Result<()> {
    let db = contents.db()?;
    guarded(|| {
        let txn = contents.change_tables(&db, contents.options.fast_recovery)?;
        let mut flushed = Flushed::default();
        flushed.add(&request.layer);
        let counts = request.layer.added_to(contents.own_tail().flushed_counts());
        let before = request.layer.base();
        let meta = meta_after(&txn, &flushed, before, request.next_branch, counts, request.journal)?;
        flush_into(&txn, &flushed, meta)?;
        fault!(ThawsBeforeCommit, {
            drop(contents.own_tail_mut().thaw());
            crate::sync::point();
        });
        txn.commit()
    })?;
    if fault!(ThawsBeforeCommit) {
        return Ok(());
    }
    let flushed = contents.own_tail_mut().thaw();
    contents.recent.forget();
    // Freed outside the lock, because a large layer takes time.
    drop(flushed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> FlushRequest {
        let journal = JournalMark { at: 0, next: 1, chain: 0 };
        FlushRequest { layer: Arc::default(), next_branch: 1, journal }
    }

    #[test]
    fn a_layer_is_given_only_after_the_one_before_was_noted() {
        let flusher = Flusher::default();
        assert!(flusher.is_idle());
        flusher.give(request());
        assert!(!flusher.is_idle() && flusher.next().is_some() && !flusher.is_idle());
        assert_eq!(flusher.take_note(), Ok(false));
        flusher.finish(Ok(()));
        assert!(!flusher.is_idle());
        assert_eq!((flusher.take_note(), flusher.take_note()), (Ok(true), Ok(false)));
        assert!(flusher.is_idle());
    }

    #[test]
    fn after_a_failure_nothing_more_is_given() {
        let flusher = Flusher::default();
        flusher.give(request());
        flusher.next();
        let failed = Error::storage("the disk is gone");
        flusher.finish(Err(failed.clone()));
        flusher.wait();
        assert!(!flusher.is_idle());
        assert_eq!((flusher.take_note(), flusher.take_note()), (Err(failed.clone()), Err(failed)));
    }
}
