//! Room on the disk of a store.

use std::path::Path;

/// Bytes that the file system of this file has left, if it says so.
#[cfg(unix)]
pub(super) fn left_for(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
pub(super) fn left_for(_: &Path) -> Option<u64> {
    None
}
