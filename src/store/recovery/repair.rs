//! A new store out of a damaged file.

use std::path::Path;

use crate::engine::{Repaired, repair as put_together};
use crate::error::Result;
use crate::store::maintain::backup::{full, made_and_checked};
use crate::store::unblocked::unblocked;

/// Puts a new store together from what is sound in a damaged file, and checks it. The damaged file is only read, and may
/// not be open anywhere.
///
/// Every event that can be read is in the new store under its address and its position. Where events are lost, there is
/// an event of type [`LOST_EVENT`](super::LOST_EVENT) for each, with its `sequence`, its `position` and, where it is known, its `id`: so
/// branches go on where they were, forks and cursors stay right, and no reader takes a gap for the whole. Of consumers,
/// timers, leases, states of projections and all other records, those that are sound are taken over. What is lost is in the
/// answer, one by one.
///
/// It needs some 32 bytes of memory for each event, and reads the file several times.
///
/// ```
/// use retold::store::recovery::repair;
/// use retold::{NewEvent, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let (path, repaired) = (dir.path().join("runs.redb"), dir.path().join("repaired.redb"));
/// let store = Store::open(&path)?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// store.close()?;
/// let found = repair(&path, &repaired)?;
/// assert_eq!((found.events, found.lost), (1, vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`](crate::Error::Exists) when there is something under the new name, [`Error::Locked`](crate::Error::Locked) when the damaged file is open,
/// [`Error::Corrupt`](crate::Error::Corrupt) when nothing in it can be read, [`Error::Storage`](crate::Error::Storage). After an error there is no new store.
pub fn repair(damaged: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Repaired> {
    repair_with(damaged, to, |_, _| {})
}

/// [`repair()`] for tasks. Dropping the future does not stop it.
///
/// # Errors
/// As [`repair()`].
pub async fn repair_async(damaged: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Repaired> {
    let (damaged, to) = (damaged.as_ref().to_owned(), to.as_ref().to_owned());
    unblocked(move || repaired(&damaged, &to, |_, _| {})).await
}

/// [`repair()`], telling as it goes how many events of how many it has written and checked; it comes to each
/// twice.
///
/// # Errors
/// As [`repair()`].
pub fn repair_with(
    damaged: impl AsRef<Path>,
    to: impl AsRef<Path>,
    progress: impl FnMut(u64, u64),
) -> Result<Repaired> {
    repaired(damaged.as_ref(), to.as_ref(), progress)
}

fn repaired(damaged: &Path, to: &Path, progress: impl FnMut(u64, u64)) -> Result<Repaired> {
    let damaged = full(damaged)?;
    let (to, made) = made_and_checked(to, progress, |to, progress| put_together(&damaged, to, progress))?;
    Ok(Repaired { path: to, ..made })
}
