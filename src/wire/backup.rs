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
