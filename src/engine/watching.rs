//! Who is told of what an engine commits.

use std::sync::{Arc, Weak};

use super::watch::{Committed, Watcher};
use crate::sync::RwLock;
use crate::sync::{read, write};

/// The watchers of an engine. It does not keep them: one is told for as long as its handle lives.
#[derive(Debug, Default)]
pub(crate) struct Watching(RwLock<Vec<Weak<dyn Watcher>>>);

impl Watching {
    pub(crate) fn add(&self, watcher: &Arc<dyn Watcher>) {
        let mut all = write(&self.0);
        all.retain(|watcher| watcher.strong_count() > 0);
        all.push(Arc::downgrade(watcher));
    }

    pub(crate) fn committed(&self, commit: &Committed<'_>) {
        read(&self.0).iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.committed(commit));
    }

    pub(crate) fn failed(&self) {
        read(&self.0).iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.failed());
    }

    pub(crate) fn closed(&self) {
        let all = std::mem::take(&mut *write(&self.0));
        all.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.closed());
    }
}
