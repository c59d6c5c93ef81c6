//! Which rows of the tables have changed, for one that copies them while they are in use.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::sync::{Mutex, lock};

/// Keys of changed rows, as redb stores them, by table.
pub(crate) type ChangedKeys = BTreeMap<String, BTreeSet<Vec<u8>>>;

/// What has been committed since it was taken last; `None` while nobody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Option<ChangedKeys>>);

impl Watched {
    /// What changes from now on is kept, or not any more. Nobody may be writing.
    pub(super) fn set(&self, wanted: bool) {
        *lock(&self.0) = wanted.then(ChangedKeys::new);
    }

    pub(super) fn take(&self) -> ChangedKeys {
        lock(&self.0).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes for a transaction that begins.
    pub(super) fn begin(&self) -> Notes {
        Notes(lock(&self.0).as_ref().map(|_| RefCell::default()))
    }

    /// The transaction is about to be committed.
    pub(super) fn add(&self, notes: Notes) {
        let Some(noted) = notes.0.map(RefCell::into_inner) else { return };
        if let Some(changed) = lock(&self.0).as_mut() {
            noted.into_iter().for_each(|(table, keys)| changed.entry(table).or_default().extend(keys));
        }
    }
}

/// What one transaction changes.
#[derive(Debug, Default)]
pub(super) struct Notes(Option<RefCell<ChangedKeys>>);

impl Notes {
    /// Asks for the key only where somebody wants to know.
    pub(super) fn note(&self, table: &str, key: impl FnOnce() -> Vec<u8>) {
        let Some(noted) = &self.0 else { return };
        let mut noted = noted.borrow_mut();
        match noted.get_mut(table) {
            Some(keys) => {
                keys.insert(key());
            }
            None => {
                noted.insert(table.to_owned(), BTreeSet::from([key()]));
            }
        }
    }
}
