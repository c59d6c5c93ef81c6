//! Making a store of a full backup and the incremental ones that follow it, or of the part of that up to some point.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::backup::assembled;
use super::restore::{CutRecords, restore};
use crate::engine::backup::UnnamedBackup;
use crate::engine::port::OnProgress;
use crate::engine::restored::{RestoreUntil, Restored};
use crate::error::Result;

/// Makes a store of backups of which each continues the one before it. Up to a point, the whole is made beside it first.
pub(crate) fn restore_chain(
    chain: &[PathBuf],
    to: &Path,
    until: RestoreUntil,
    cut: &CutRecords<'_>,
    progress: &mut OnProgress<'_>,
) -> Result<Restored> {
    if let [only] = chain {
        return restore(only, to, until, cut, progress);
    }
    if until == RestoreUntil::End {
        let made = assembled(chain, to, progress)?;
        let (position, bytes) = (made.position, made.bytes);
        return Ok(Restored { path: made.path, position, bytes, left_out: 0, branches_left_out: 0 });
    }
    let whole = UnnamedBackup::beside(to);
    let mut half =
        |from: u64, done: u64, of: u64| -> ControlFlow<()> { progress(from + done.min(of) / 2, of) };
    let made = assembled(chain, &whole.path, &mut |done, of| half(0, done, of))?;
    let all = made.position.get();
    // The part may be shorter than the whole, of which it is told.
    restore(&whole.path, to, until, cut, &mut |done, _| half(all / 2, done, all))
}
