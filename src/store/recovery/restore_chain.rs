//! Making a store of a full backup and the incremental ones that follow it.

use std::path::{Path, PathBuf};

use super::cut_records::cut_records;
use crate::engine::{RestoreUntil, Restored, restore_chain as put_together};
use crate::error::Result;
use crate::store::maintain::backup::{full, made_and_checked};
use crate::store::unblocked::unblocked;

/// Makes a store of a full backup and the incremental ones that follow it, in the order in which they were made, up to some
/// point, and checks it. The backups are only read.
///
/// Up to the end it is what a full backup would have been at the time of the last one. Up to a position or a time it is as
/// [`restore()`](super::restore()) says, and takes the room of the whole store besides until it ends. Those that come after the point can
/// be left out: records beside the events then go back less far.
///
/// ```
/// use retold::store::recovery::{RestoreUntil, restore_chain};
/// use retold::{NewEvent, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let [monday, tuesday, restored] = ["mo.redb", "tu.redb", "runs.redb"].map(|name| dir.path().join(name));
/// let store = Store::open(dir.path().join("lost.redb"))?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// store.maintenance().backup(&monday)?;
/// store.append("run-7", NewEvent::new("run.ended"))?;
/// store.maintenance().backup_since(&monday, &tuesday)?;
/// restore_chain(&[&monday, &tuesday], &restored, RestoreUntil::End)?;
/// assert_eq!(Store::open(&restored)?.head("run-7")?.get(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) when the first is no full backup, one does not continue the one before it, or one was
/// written to since it was made; [`Error::NotFound`](crate::Error::NotFound), [`Error::Locked`](crate::Error::Locked)
/// and [`Error::Corrupt`](crate::Error::Corrupt) of any of them; [`Error::Exists`](crate::Error::Exists) when there is something
/// under the new name. After an error there is no new store.
pub fn restore_chain<P: AsRef<Path>>(
    backups: &[P],
    to: impl AsRef<Path>,
    until: RestoreUntil,
) -> Result<Restored> {
    restore_chain_with(backups, to, until, |_, _| {})
}

/// [`restore_chain()`] for tasks. Dropping the future does not stop it.
///
/// # Errors
/// As [`restore_chain()`].
pub async fn restore_chain_async<P: AsRef<Path>>(
    backups: &[P],
    to: impl AsRef<Path>,
    until: RestoreUntil,
) -> Result<Restored> {
    let (backups, to) = (paths(backups), to.as_ref().to_owned());
    unblocked(move || restored(&backups, &to, until, |_, _| {})).await
}

/// [`restore_chain()`], telling as it goes how many events of how many it has written and checked; it comes to each
/// twice.
///
/// # Errors
/// As [`restore_chain()`].
pub fn restore_chain_with<P: AsRef<Path>>(
    backups: &[P],
    to: impl AsRef<Path>,
    until: RestoreUntil,
    progress: impl FnMut(u64, u64),
) -> Result<Restored> {
    restored(&paths(backups), to.as_ref(), until, progress)
}

fn paths<P: AsRef<Path>>(backups: &[P]) -> Vec<PathBuf> {
    backups.iter().map(|path| path.as_ref().to_owned()).collect()
}

fn restored(
    backups: &[PathBuf],
    to: &Path,
    until: RestoreUntil,
    progress: impl FnMut(u64, u64),
) -> Result<Restored> {
    let backups: Vec<PathBuf> = backups.iter().map(|path| full(path)).collect::<Result<_>>()?;
    let (to, made) = made_and_checked(to, progress, |to, progress| {
        put_together(&backups, to, until, &cut_records, progress)
    })?;
    Ok(Restored { path: to, ..made })
}
