//! Who works beside an open store: is told of its commits and of its end, and is found again by every handle.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, RwLock};

use crate::engine::{Committed, Watcher, read, write};

/// One value of a type, shared by all handles of one open store. It must not hold a [`Store`](super::Store): that would
/// never close.
///
/// It is told on the writer's path or by whoever closes: it wakes others and returns, takes no lock that is held for
/// long, and does not call the store.
pub(crate) trait Observer: Any + Send + Sync + fmt::Debug {
    /// Something was committed. It is readable, and not yet acknowledged.
    fn committed(&self, _commit: &Committed<'_>) {}

    /// The store is about to close: the last moment to write. Returns when the work is done. Called once or more.
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

    /// The observer of this type, made when it is first asked for. `make` must not ask for another.
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
    fn an_observer_is_told_of_commits_and_of_the_end() {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("before")).unwrap();
        let told = store.handle().observer(Told::default).unwrap();
        store.append("s", [NewEvent::new("a"), NewEvent::new("b")]).unwrap();
        store.maintenance().flush().unwrap();
        store.close().unwrap();
        assert_eq!(*told.0.lock().unwrap(), ["a", "b", "closing", "closed"]);
    }
}
