//! An open store below its handles: its contents, writer, flusher and observers.

use std::sync::Arc;

use super::contents::Contents;
use crate::error::Result;
use crate::store::engine::file::journal::JournalFile;
use crate::store::engine::flush::flusher::Flusher;
use crate::store::engine::read::file_reader::FileReader;
use crate::store::engine::tables::db::Db;
use crate::store::engine::write::writer::Writer;
use crate::store::observe::Observers;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) contents: Arc<Contents>,
    pub(crate) writer: Writer,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) observers: Arc<Observers>,
    /// Where the journal is read again from.
    pub(crate) journal: JournalFile,
}

impl Engine {
    pub(crate) fn reader(&self) -> Result<FileReader> {
        Ok(FileReader { contents: self.contents.clone(), db: self.contents.db()? })
    }

    /// Accepts nothing more, writes what is queued, flushes it, and releases the file, which is free once readers
    /// have released it too. `None` if it is already closed; otherwise the threads have to be joined.
    pub(crate) fn close(&self) -> Option<Closed> {
        if !self.writer.stop_taking() {
            return None;
        }
        let outcome = match self.contents.read_only() {
            true => Ok(()),
            false => self.writer.flush_last(),
        };
        // In this order: whoever still got hold of the file has shown itself to the observers before.
        let db = self.contents.close();
        if let (Some(db), Err(_)) = (&db, &outcome) {
            db.abandon();
        }
        self.observers.closed();
        self.writer.dismiss_thread();
        self.flusher.dismiss();
        Some(Closed { outcome, db })
    }
}

/// A store that is closed except for its threads.
pub(crate) struct Closed {
    pub(crate) outcome: Result<()>,
    /// Released after the threads.
    pub(crate) db: Option<Arc<Db>>,
}
