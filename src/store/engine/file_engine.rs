//! An open store below its handles: what is in it, who writes it, and who works beside it.

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

    /// Takes nothing more, writes what is queued, flushes it, and lets go of the file, which is free once readers have too.
    /// `None` when it was closed before; the threads are to be waited for.
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

/// A store that is closed but for its threads.
pub(crate) struct Closed {
    pub(crate) outcome: Result<()>,
    /// Released after the threads.
    pub(crate) db: Option<Arc<Db>>,
}
