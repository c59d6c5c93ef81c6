//! A copy of the store, which is checked before it gets its name.

use std::ops::ControlFlow;
use std::path::Path;

use crate::engine::{Backup, UnnamedBackup};
use crate::error::{Error, Result};
use crate::store::handle::builder::Builder;
use crate::store::handle::store::Store;

use super::verify::verify;

pub(super) fn backup(store: &Store, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Backup> {
    let to = std::path::absolute(to).map_err(|e| Error::storage(format!("{}: {e}", to.display())))?;
    let unnamed = UnnamedBackup::of(&to)?;
    let made = store.inner().admin()?.backup(&unnamed.path, &mut |done, of| {
        progress(done, of.saturating_mul(2));
        ControlFlow::Continue(())
    })?;
    checked(&unnamed.path, progress)?;
    unnamed.publish()?;
    Ok(Backup { path: to, ..made })
}

/// Whether a store that was just made is sound.
pub(crate) fn checked(to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    let copy = Builder::new().read_only().exclusive().open(to)?;
    let report = verify(&copy, |done, of| progress(of.saturating_add(done), of.saturating_mul(2)));
    copy.close()?;
    match report?.problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => Err(problem.into_error()),
    }
}
