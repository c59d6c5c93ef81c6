//! Turns redb's errors, and its panics on damaged files, into ours.

use std::panic::resume_unwind;

use crate::codec::Malformed;
use crate::error::{Error, Result};
use crate::panics::caught;

pub(crate) fn corrupt(place: impl ToString, reason: impl Into<String>) -> Error {
    Error::corrupt(place, reason)
}

pub(crate) fn malformed(place: impl ToString) -> impl FnOnce(Malformed) -> Error {
    move |e| corrupt(place, e.to_string())
}

/// Turns any redb error into ours.
pub(crate) trait MapRedb<T> {
    fn map_redb(self) -> Result<T>;
}

impl<T, E: Into<redb::Error>> MapRedb<T> for Result<T, E> {
    fn map_redb(self) -> Result<T> {
        self.map_err(|e| translate(e.into()))
    }
}

pub(crate) fn translate(e: redb::Error) -> Error {
    use redb::Error as E;
    match e {
        E::Corrupted(reason) => corrupt("the store", reason),
        E::TableTypeMismatch { table, .. } | E::TableIsMultimap(table) | E::TableIsNotMultimap(table) => {
            corrupt(format!("table {table}"), "it has another type; this is not a retold store")
        }
        E::TableDoesNotExist(table) => corrupt(format!("table {table}"), "it is missing"),
        E::DatabaseClosed => Error::Closed { after: None },
        E::Io(e) => Error::Storage { reason: format!("the storage failed: {e}") },
        e => Error::Storage { reason: format!("the storage failed: {e}") },
    }
}

/// Drops a value of redb's, whose destructor can panic on a damaged file.
pub(crate) fn guarded_drop<T>(value: T) -> Result<()> {
    guarded(move || {
        drop(value);
        Ok(())
    })
}

/// Drops a database that is not to be written. redb would write on closing, and believe what the file says of free pages: where
/// that is damaged it panics, and again while it is unwound, which ends the process. It writes nothing while a thread is unwound.
pub(crate) fn drop_unwritten<T>(db: T) {
    if cfg!(panic = "unwind") {
        let _ = caught(move || {
            let _dropped = db;
            resume_unwind(Box::new("closed without a write"))
        });
    } else {
        drop(db);
    }
}

/// redb panics on some damaged files; the caller gets an error instead.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(work).unwrap_or_else(|message| Err(corrupt("the store", format!("reading it failed: {message}"))))
}
