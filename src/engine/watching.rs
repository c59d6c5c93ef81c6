//! Who is told of what an engine commits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::watch::{Committed, Watcher};
use crate::sync::RwLock;
use crate::sync::{read, write};

/// The watchers of an engine. It does not keep them: one is told for as long as its handle lives.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    all: RwLock<Vec<Weak<dyn Watcher>>>,
    failed: AtomicBool,
}

impl Watching {
    pub(crate) fn add(&self, watcher: &Arc<dyn Watcher>) {
        {
            let mut all = write(&self.all);
            all.retain(|watcher| watcher.strong_count() > 0);
            all.push(Arc::downgrade(watcher));
        }
        // After it was added, so that it is told by one of the two.
        if self.has_failed() {
            watcher.failed();
        }
    }

    /// Whether the storage has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    pub(crate) fn committed(&self, commit: &Committed<'_>) {
        read(&self.all).iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.committed(commit));
    }

    pub(crate) fn answered(&self) {
        read(&self.all).iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.answered());
    }

    /// The storage has failed. Everybody is told before whoever waits for a commit gets an answer.
    pub(crate) fn fail(&self) {
        if !self.failed.swap(true, Ordering::SeqCst) {
            read(&self.all).iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.failed());
        }
    }

    pub(crate) fn closed(&self) {
        let all = std::mem::take(&mut *write(&self.all));
        all.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.closed());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Debug, Default)]
    struct Counts(AtomicUsize);

    impl Watcher for Counts {
        fn committed(&self, _: &Committed<'_>) {}

        fn failed(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn closed(&self) {}
    }

    #[test]
    fn who_comes_after_the_storage_has_failed_is_told_as_well() {
        let (watching, early, late) =
            (Watching::default(), Arc::new(Counts::default()), Arc::new(Counts::default()));
        let told = |counts: &Counts| counts.0.load(Ordering::Relaxed);
        watching.add(&(early.clone() as Arc<dyn Watcher>));
        assert!(told(&early) == 0 && !watching.has_failed());
        watching.fail();
        watching.fail();
        watching.add(&(late.clone() as Arc<dyn Watcher>));
        assert_eq!((told(&early), told(&late)), (1, 1));
    }
}
