//! A backup as JSON.

use serde::Serialize;

use crate::store;

/// A copy of a store.
#[derive(Clone, Debug, Serialize)]
pub struct BackupView {
    path: String,
    position: u64,
    bytes: u64,
}

impl From<&store::Backup> for BackupView {
    fn from(backup: &store::Backup) -> Self {
        let path = backup.path.display().to_string();
        Self { path, position: backup.position.get(), bytes: backup.bytes }
    }
}

/// A store that was made of a part of a backup.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredView {
    path: String,
    position: u64,
    bytes: u64,
    left_out: u64,
    branches_left_out: u64,
}

impl From<&store::recovery::Restored> for RestoredView {
    fn from(restored: &store::recovery::Restored) -> Self {
        Self {
            path: restored.path.display().to_string(),
            position: restored.position.get(),
            bytes: restored.bytes,
            left_out: restored.left_out,
            branches_left_out: restored.branches_left_out,
        }
    }
}
