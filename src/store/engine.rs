//! An open store below its handles: what is in it, who writes it, and who works beside it.

use std::sync::Arc;

use super::contents::Contents;
use super::db::Db;
use super::flusher::Flusher;
use super::observe::Observers;
use super::read::FileReader;
use super::ring::JournalFile;
use super::writer::Writer;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) contents: Arc<Contents>,
    pub(super) writer: Writer,
    pub(super) flusher: Arc<Flusher>,
    pub(super) observers: Arc<Observers>,
    /// Where the journal is read again from.
    pub(super) journal: JournalFile,
}

impl Engine {
    pub(super) fn reader(&self) -> Result<FileReader> {
        Ok(FileReader { contents: self.contents.clone(), db: self.contents.db()? })
    }

    /// Takes nothing more, writes what is queued, flushes it, and lets go of the file, which is free once readers have too.
    /// `None` when it was closed before; the threads are to be waited for.
    pub(super) fn close(&self) -> Option<Closed> {
        if !self.writer.stop_taking() {
            return None;
        }
        let outcome = match self.contents.read_only() {
            true => Ok(()),
            false => self.writer.settle_last(),
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
pub(super) struct Closed {
    pub(super) outcome: Result<()>,
    /// Released after the threads.
    pub(super) db: Option<Arc<Db>>,
}
