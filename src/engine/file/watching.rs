//! Who is told of what the writer commits.

use std::sync::{Arc, OnceLock};

use crate::engine::branch::Branch;
use crate::engine::watch::{Committed, Watcher};
use crate::event::Event;

/// The watcher, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Watching(OnceLock<Arc<dyn Watcher>>);

impl Watching {
    pub(crate) fn set(&self, watcher: Arc<dyn Watcher>) {
        let _ = self.0.set(watcher);
    }

    pub(crate) fn committed(&self, births: &[Arc<Branch>], new: &[(u64, Event)]) {
        if let Some(watcher) = self.0.get() {
            watcher.committed(&Committed::new(births, new));
        }
    }

    pub(crate) fn closed(&self) {
        if let Some(watcher) = self.0.get() {
            watcher.closed();
        }
    }
}
