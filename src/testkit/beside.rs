use crate::store::Store;

/// Another handle on the same open store, as another process has one: with consumers, timers and projections of its
/// own, which share nothing with those of the first but what is stored. For tests of what several
/// processes do to each other.
///
/// It is closed by itself, and ends when the first handle is closed.
///
/// ```
/// use retold::testkit::beside;
/// use retold::{NewEvent, Store};
///
/// let store = Store::in_memory()?;
/// let other = beside(&store);
/// store.append("run-7", NewEvent::new("run.started"))?;
/// assert_eq!(other.append("run-7", NewEvent::new("tool.invoked"))?.last(), 2.into());
/// other.close()?;
/// assert_eq!(store.head("run-7")?, 2.into());
/// # Ok::<(), retold::Error>(())
/// ```
#[must_use]
pub fn beside(store: &Store) -> Store {
    store.beside()
}
