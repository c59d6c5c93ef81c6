//! The handle to the projections of a store.

use super::info::{ProjectionInfo, list};
use crate::error::{Error, Result};
use crate::store::Store;

/// The projections of a store: which there are, how far they are, and where they are parked. One that is registered with
/// [`Store::project`] is read through its own handle, [`Projected`](super::Projected).
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
///
/// ```
/// use retold::project::{ApplyError, Projection};
/// use retold::{Event, NewEvent, Store};
///
/// struct Count;
///
/// impl Projection for Count {
///     type State = u64;
///     fn name(&self) -> &str { "count" }
///     fn apply(&self, count: &mut u64, _: &Event) -> Result<(), ApplyError> {
///         *count += 1;
///         Ok(())
///     }
/// }
///
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// store.project(Count)?.catch_up()?;
/// let projections = store.projections();
/// assert_eq!(projections.list()?.len(), 1);
/// assert_eq!(projections.info("count")?.lag, 0);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Projections {
    store: Store,
}

impl Store {
    /// The projections: which there are, and how far they are.
    #[must_use]
    pub fn projections(&self) -> Projections {
        Projections { store: self.clone() }
    }
}

impl Projections {
    /// Every projection that has states in this store or is registered, by name.
    ///
    /// # Errors
    /// [`Error::Closed`] and those of reading.
    pub fn list(&self) -> Result<Vec<ProjectionInfo>> {
        list(&self.store)
    }

    /// [`list`](Self::list) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(&self) -> Result<Vec<ProjectionInfo>> {
        self.store.in_task(list).await
    }

    /// One projection.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has no states and is not registered; else as [`list`](Self::list).
    pub fn info(&self, name: &str) -> Result<ProjectionInfo> {
        info(&self.store, name)
    }

    /// [`info`](Self::info) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub async fn info_async(&self, name: &str) -> Result<ProjectionInfo> {
        let name = name.to_owned();
        self.store.in_task(move |store| info(store, &name)).await
    }
}

fn info(store: &Store, name: &str) -> Result<ProjectionInfo> {
    let found = list(store)?.into_iter().find(|projection| projection.name == name);
    found.ok_or_else(|| Error::not_found("projection", name))
}
