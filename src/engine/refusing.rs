//! An engine that refuses some commits, for tests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::commit::{Commit, Outcome};
use super::layer::EngineLayer;
use super::port::{Engine, Submitted};
use crate::error::{Error, Result};

/// Refuses so many of the commits that `refuse` has an error for.
pub(crate) struct Refusing {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) left: Arc<AtomicUsize>,
    pub(crate) refuse: fn(&Commit) -> Option<Error>,
}

impl fmt::Debug for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusing").field("left", &self.left).finish_non_exhaustive()
    }
}

impl EngineLayer for Refusing {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        let one_less = |left: usize| left.checked_sub(1);
        match (self.refuse)(&commit) {
            Some(error) if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() => {
                Err(error)
            }
            _ => self.engine.commit(commit),
        }
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { EngineLayer::commit(self, commit) })
    }
}
