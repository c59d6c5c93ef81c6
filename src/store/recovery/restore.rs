//! Making a store of a backup, up to a position or a time.

use std::path::Path;

use super::cut_records::cut_records;
use crate::engine::{RestoreUntil, Restored, restore as put_together};
use crate::error::Result;
use crate::store::maintain::backup::{full, made_and_checked};
use crate::store::unblocked::unblocked;

/// Makes a store of a backup, up to some point, and checks it. The backup is only read; any closed store will do as one.
///
/// The new store has every commit up to that point as a whole, and its id is that of the backup. Commits that were recorded
/// in the same microsecond count as one. Records beside the events have no history, so of those, what belongs to later
/// events is taken away:
///
/// - consumers go back to that point; what they acknowledged before it stays acknowledged, and consumers that were created
///   later are gone;
/// - dead letters of later events, and timers and imports that were made later, are gone. A timer that has fired since is
///   not made again;
/// - projections begin anew: they are folded from the events;
/// - a session whose current branch is not there goes back to `main`;
/// - leases and schemas stay as they were at the end of the backup;
/// - branches that were closed later are open. Those that were deleted later are there again, unless something of them was purged.
///   What was truncated stays truncated, and projections have no states of it.
///
/// ```
/// use retold::store::recovery::{RestoreUntil, restore};
/// use retold::{NewEvent, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let (backup, path) = (dir.path().join("backup.redb"), dir.path().join("runs.redb"));
/// let store = Store::open(&backup)?;
/// let good = store.append("run-7", NewEvent::new("run.started"))?;
/// store.append("run-7", NewEvent::new("run.failed"))?;
/// store.close()?;
/// restore(&backup, &path, RestoreUntil::Position(good.parts()[0].last_position))?;
/// assert_eq!(Store::open(&path)?.head("run-7")?.get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Exists`](crate::Error::Exists) when there is something under the new name, [`Error::Locked`](crate::Error::Locked) when the backup is open for writing,
/// [`Error::Corrupt`](crate::Error::Corrupt) when it is damaged: [`repair()`](super::repair()) it first. After an error there is no new store.
pub fn restore(backup: impl AsRef<Path>, to: impl AsRef<Path>, until: RestoreUntil) -> Result<Restored> {
    restore_with(backup, to, until, |_, _| {})
}

/// [`restore()`] for tasks. Dropping the future does not stop it.
///
/// # Errors
/// As [`restore()`].
pub async fn restore_async(
    backup: impl AsRef<Path>,
    to: impl AsRef<Path>,
    until: RestoreUntil,
) -> Result<Restored> {
    let (backup, to) = (backup.as_ref().to_owned(), to.as_ref().to_owned());
    unblocked(move || restored(&backup, &to, until, |_, _| {})).await
}

/// [`restore()`], telling as it goes how many events of how many it has written and checked; it comes to each
/// twice.
///
/// # Errors
/// As [`restore()`].
pub fn restore_with(
    backup: impl AsRef<Path>,
    to: impl AsRef<Path>,
    until: RestoreUntil,
    progress: impl FnMut(u64, u64),
) -> Result<Restored> {
    restored(backup.as_ref(), to.as_ref(), until, progress)
}

fn restored(
    backup: &Path,
    to: &Path,
    until: RestoreUntil,
    progress: impl FnMut(u64, u64),
) -> Result<Restored> {
    let backup = full(backup)?;
    let (to, made) = made_and_checked(to, progress, |to, progress| {
        put_together(&backup, to, until, &cut_records, progress)
    })?;
    Ok(Restored { path: to, ..made })
}
