//! A copy of the store, which is checked before it gets its name.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::engine::{Backup, OnProgress, UnnamedBackup, check_increment};
use crate::error::{Error, Result};
use crate::store::handle::builder::Builder;
use crate::store::handle::store::Store;

use super::verify::verify;

/// A full one, or one of what has come since an earlier one.
pub(super) fn backup(
    store: &Store,
    (to, since): (&Path, Option<&Path>),
    progress: impl FnMut(u64, u64),
) -> Result<Backup> {
    let (admin, since) = (store.inner().admin()?, since.map(full).transpose()?);
    let make = |to: &Path, progress: &mut OnProgress<'_>| admin.backup(to, since.as_deref(), progress);
    let check: fn(&Path, &mut OnProgress<'_>) -> Result<()> =
        if since.is_some() { check_increment } else { checked };
    let (to, made) = made_and_named(to, progress, make, check)?;
    Ok(Backup { path: to, ..made })
}

/// Makes a store under a name of its own, checks it, and gives it the name that it is to have: also what that is in full.
/// Progress is told of both, as of one walk of twice the length.
pub(crate) fn made_and_checked<T>(
    to: &Path,
    progress: impl FnMut(u64, u64),
    make: impl FnOnce(&Path, &mut OnProgress<'_>) -> Result<T>,
) -> Result<(PathBuf, T)> {
    made_and_named(to, progress, make, checked)
}

/// The same for a file that is checked in another way.
fn made_and_named<T>(
    to: &Path,
    mut progress: impl FnMut(u64, u64),
    make: impl FnOnce(&Path, &mut OnProgress<'_>) -> Result<T>,
    check: impl FnOnce(&Path, &mut OnProgress<'_>) -> Result<()>,
) -> Result<(PathBuf, T)> {
    let to = full(to)?;
    let unnamed = UnnamedBackup::of(&to)?;
    let made = make(&unnamed.path, &mut |done, of| {
        progress(done, of.saturating_mul(2));
        ControlFlow::Continue(())
    })?;
    check(&unnamed.path, &mut |done, of| {
        progress(of.saturating_add(done), of.saturating_mul(2));
        ControlFlow::Continue(())
    })?;
    unnamed.publish()?;
    Ok((to, made))
}

/// The same path from whatever folder.
pub(crate) fn full(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::storage(format!("{}: {e}", path.display())))
}

/// Whether a store that was just made is sound.
fn checked(to: &Path, progress: &mut OnProgress<'_>) -> Result<()> {
    let copy = Builder::new().read_only().exclusive().open(to)?;
    let report = verify(&copy, |done, of| {
        let _ = progress(done, of);
    });
    copy.close()?;
    match report?.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(problem.into_error()),
    }
}
