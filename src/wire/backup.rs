//! A backup as JSON.

use serde::Serialize;

use crate::event::Position;
use crate::store;

/// A copy of a store, or what has changed since an earlier one.
#[derive(Clone, Debug, Serialize)]
pub struct BackupView {
    path: String,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    bytes: u64,
}

impl From<&store::recovery::Backup> for BackupView {
    fn from(backup: &store::recovery::Backup) -> Self {
        let path = backup.path.display().to_string();
        let since = backup.since.map(Position::get);
        Self { path, position: backup.position.get(), since, bytes: backup.bytes }
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
