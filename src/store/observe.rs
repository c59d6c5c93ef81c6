//! Observers of an open store: notified of commits and of closing, and shared by all handles.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::engine::{Committed, HandleId, SidecarTables, Watcher};
use crate::sync::{RwLock, read, write};

/// An observer, of which an open store has at most one per type, shared by all handles. It must not hold a
/// [`Store`](super::Store), which would then never close.
/// It is
/// called on the writer's path, or by the thread that closes: it wakes others and returns, takes no lock that is
/// held for long, and does not call the store.
pub(crate) trait Observer: Any + Send + Sync + fmt::Debug {
    /// Called when something is committed: it is readable, and not yet acknowledged.
    fn committed(&self, _commit: &Committed<'_>) {}

    /// Called when records of these tables were committed through another handle of the engine.
    fn changed_beside(&self, _tables: SidecarTables) {}

    /// Called when the store is about to close, the last moment to write. Returns when the work is done. May be called more than once.
    fn closing(&self) {}

    /// No commit will follow.
    fn closed(&self) {}
}

type All = Arc<[Arc<dyn Observer>]>;

/// The observers of one open store, at most one of a type.
#[derive(Debug)]
pub(crate) struct Observers {
    id: HandleId,
    all: RwLock<All>,
}

impl Default for Observers {
    fn default() -> Self {
        Self { id: HandleId::new(), all: RwLock::new(Arc::from([])) }
    }
}

impl Observers {
    /// Whose records these observers are not told of.
    pub(crate) fn id(&self) -> HandleId {
        self.id
    }

    /// The observer of this type, if there is one.
    pub(crate) fn get<T: Observer>(&self) -> Option<Arc<T>> {
        find(&self.all())
    }

    /// The observer of this type, created on first use. `make` must not request another.
    pub(crate) fn get_or_make<T: Observer>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.get() {
            return found;
        }
        let mut all = write(&self.all);
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
        read(&self.all).clone()
    }
}

impl Watcher for Observers {
    fn committed(&self, commit: &Committed<'_>) {
        let all = self.all();
        if commit.is_of_branches() {
            all.iter().for_each(|observer| observer.committed(commit));
        }
        let changed = commit.changed_beside(self.id);
        if !changed.is_empty() {
            all.iter().for_each(|observer| observer.changed_beside(changed));
        }
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
    use crate::error::Error;
    use crate::event::{Expect, NewEvent};
    use crate::store::{Batch, SidecarTable, SidecarWrites, Store};

    #[derive(Debug, Default)]
    struct Named(&'static str);
    impl Observer for Named {}

    #[derive(Debug, Default)]
    struct Beside(Mutex<Vec<[bool; 2]>>);

    impl Observer for Beside {
        fn changed_beside(&self, tables: SidecarTables) {
            let changed = [SidecarTable::Timers, SidecarTable::Consumers].map(|table| tables.has(table));
            self.0.lock().unwrap().push(changed);
        }
    }

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
    fn a_handle_is_told_of_the_records_of_others_and_not_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = Store::builder().sync(false).open(dir.path().join("s.redb")).unwrap();
        for store in [file, Store::in_memory().unwrap()] {
            let other = store.beside();
            let told = store.handle().observer(Beside::default).unwrap();
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Timers, b"k".to_vec(), b"v".to_vec());
            store.write_records(records.clone()).unwrap();
            store.append("s", NewEvent::new("a.b")).unwrap();
            assert!(told.0.lock().unwrap().is_empty());
            other.append("s", NewEvent::new("a.b")).unwrap();
            other.write_records(records).unwrap();
            let mut records = SidecarWrites::new();
            records.remove(SidecarTable::Consumers, b"k".to_vec());
            let batch = Batch::new().add("s", Expect::Any, NewEvent::new("a.b")).unwrap();
            other.append_batch(batch.records(records)).unwrap();
            assert_eq!(*told.0.lock().unwrap(), [[true, false], [false, true]]);
            // It closes alone, and is told of it.
            let ended = other.handle().observer(Told::default).unwrap();
            other.close().unwrap();
            assert_eq!(*ended.0.lock().unwrap(), ["closing", "closed"]);
            assert!(matches!(other.append("s", NewEvent::new("a.b")), Err(Error::Closed { .. })));
            assert!(matches!(other.head("s"), Err(Error::Closed { .. })));
            assert_eq!(store.append("s", NewEvent::new("a.b")).unwrap().last().get(), 4);
            assert_eq!(ended.0.lock().unwrap().len(), 2);
        }
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
