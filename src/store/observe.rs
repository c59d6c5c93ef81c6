//! Observers of an open store: notified of commits and of closing, and shared by all handles.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, RwLock};

use crate::engine::{Committed, Watcher, read, write};

/// An observer, of which an open store has at most one per type, shared by all handles. It must not hold a
/// [`Store`](super::Store), which would then never close.
/// It is
/// called on the writer's path, or by the thread that closes: it wakes others and returns, takes no lock that is
/// held for long, and does not call the store.
pub(crate) trait Observer: Any + Send + Sync + fmt::Debug {
    /// Called when something is committed: it is readable, and not yet acknowledged.
    fn committed(&self, _commit: &Committed<'_>) {}

    /// Called when the store is about to close, the last moment to write. Returns when the work is done. May be called more than once.
    fn closing(&self) {}

    /// No commit will follow.
    fn closed(&self) {}
}

type All = Arc<[Arc<dyn Observer>]>;

/// The observers of one open store, at most one of a type.
#[derive(Debug)]
pub(crate) struct Observers(RwLock<All>);

impl Default for Observers {
    fn default() -> Self {
        Self(RwLock::new(Arc::from([])))
    }
}

impl Observers {
    /// The observer of this type, if there is one.
    pub(crate) fn get<T: Observer>(&self) -> Option<Arc<T>> {
        find(&self.all())
    }

    /// The observer of this type, created on first use. `make` must not request another.
    pub(crate) fn get_or_make<T: Observer>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.get() {
            return found;
        }
        let mut all = write(&self.0);
        if let Some(found) = find(&all) {
            return found;
        }
        let made = Arc::new(make());
        *all = all.iter().cloned().chain([made.clone() as Arc<dyn Observer>]).collect();
        made
    }

    pub(crate) fn closing(&self) {
        self.all().iter().for_each(|observer| observer.closing());
    }

    /// A copy: whoever is told may ask for an observer, or be the last that holds the store.
    fn all(&self) -> All {
        read(&self.0).clone()
    }
}

impl Watcher for Observers {
    fn committed(&self, commit: &Committed<'_>) {
        self.all().iter().for_each(|observer| observer.committed(commit));
    }

    fn closed(&self) {
        self.all().iter().for_each(|observer| observer.closed());
    }
}

/// There is one of a type, so the type is its key.
fn find<T: Observer>(all: &All) -> Option<Arc<T>> {
    all.iter().find_map(|observer| (observer.clone() as Arc<dyn Any + Send + Sync>).downcast().ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::event::NewEvent;
    use crate::store::Store;

    #[derive(Debug, Default)]
    struct Named(&'static str);
    impl Observer for Named {}

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<String>>);

    impl Observer for Told {
        fn committed(&self, commit: &Committed<'_>) {
            let kinds = commit.events().iter().map(|e| e.kind().to_owned());
            self.0.lock().unwrap().extend(kinds);
        }

        fn closing(&self) {
            self.0.lock().unwrap().push("closing".into());
        }

        fn closed(&self) {
            self.0.lock().unwrap().push("closed".into());
        }
    }

    #[test]
    fn handles_of_one_store_share_an_observer_and_stores_do_not() {
        let (one, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
        assert!(one.handle().find_observer::<Named>().is_none());
        let first = one.handle().observer(|| Named("one")).unwrap();
        let again = one.clone().handle().observer(|| Named("again")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(other.handle().observer(|| Named("other")).unwrap().0, "other");
        assert!(one.handle().observer(Told::default).unwrap().0.lock().unwrap().is_empty());
        assert_eq!(one.handle().find_observer::<Named>().unwrap().0, "one");
    }

    #[test]
    fn an_observer_is_notified_of_commits_and_of_the_end() {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("before")).unwrap();
        let told = store.handle().observer(Told::default).unwrap();
        store.append("s", [NewEvent::new("a"), NewEvent::new("b")]).unwrap();
        store.maintenance().flush().unwrap();
        store.close().unwrap();
        assert_eq!(*told.0.lock().unwrap(), ["a", "b", "closing", "closed"]);
    }
}
