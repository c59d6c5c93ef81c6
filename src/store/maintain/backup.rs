//! A copy of the store, which is checked before it gets its name.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::engine::{Backup, OnProgress, UnnamedBackup};
use crate::error::{Error, Result};
use crate::store::handle::builder::Builder;
use crate::store::handle::store::Store;

use super::verify::verify;

pub(super) fn backup(store: &Store, to: &Path, progress: impl FnMut(u64, u64)) -> Result<Backup> {
    let admin = store.inner().admin()?;
    let (to, made) = made_and_checked(to, progress, |to, progress| admin.backup(to, progress))?;
    Ok(Backup { path: to, ..made })
}

/// Makes a store under a name of its own, checks it, and gives it the name that it is to have: also what that is in full.
/// Progress is told of both, as of one walk of twice the length.
pub(crate) fn made_and_checked<T>(
    to: &Path,
    mut progress: impl FnMut(u64, u64),
    make: impl FnOnce(&Path, &mut OnProgress<'_>) -> Result<T>,
) -> Result<(PathBuf, T)> {
    let to = full(to)?;
    let unnamed = UnnamedBackup::of(&to)?;
    let made = make(&unnamed.path, &mut |done, of| {
        progress(done, of.saturating_mul(2));
        ControlFlow::Continue(())
    })?;
    checked(&unnamed.path, progress)?;
    unnamed.publish()?;
    Ok((to, made))
}

/// The same path from whatever folder.
pub(crate) fn full(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::storage(format!("{}: {e}", path.display())))
}

/// Whether a store that was just made is sound.
fn checked(to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    let copy = Builder::new().read_only().exclusive().open(to)?;
    let report = verify(&copy, |done, of| progress(of.saturating_add(done), of.saturating_mul(2)));
    copy.close()?;
    match report?.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(problem.into_error()),
    }
}
