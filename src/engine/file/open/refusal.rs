//! Errors for files that cannot be opened.

use std::io;

use redb::DatabaseError;

use crate::engine::file::redb_errors::{corrupt, translate};
use crate::error::Error;
use crate::event::Invalid;

pub(crate) fn not_a_store(name: &str, why: &str) -> Error {
    Invalid::new("store", format!("{name} {why}, not a retold store; use another path")).into()
}

pub(crate) fn io_error(name: &str, e: &io::Error) -> Error {
    Error::storage(format!("{name} cannot be opened: {e}"))
}

pub(crate) fn refused(name: &str, e: DatabaseError) -> Error {
    match e {
        DatabaseError::DatabaseAlreadyOpen => Error::Locked { path: name.to_owned(), reason: String::new() },
        DatabaseError::UpgradeRequired(version) => {
            corrupt(name, format!("its redb file format {version} is not one that this release reads"))
        }
        DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
            corrupt(name, "it ends early")
        }
        // Its first page is not that of a database.
        DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
            corrupt(name, e.to_string())
        }
        DatabaseError::Storage(redb::StorageError::Io(e)) => io_error(name, &e),
        e => match translate(e.into()) {
            Error::Corrupt { reason, .. } => corrupt(name, reason),
            other => other,
        },
    }
}
