//! How a file is opened and written.

use std::time::Duration;

use crate::limits::{
    DEFAULT_CACHE_BYTES, FLUSH_BYTES, FLUSH_EVENTS, IDLE_FLUSH_MS, NOTE_COMMIT_MS, RELAXED_SYNC_MS,
};

/// Whether a missing file is created, and an existing one opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    OpenOrCreate,
    OpenOnly,
    CreateOnly,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) read_only: bool,
    /// Whether a file of an earlier format is brought up to date.
    pub(crate) upgrade: bool,
    pub(crate) cache_bytes: usize,
    pub(crate) flush_events: usize,
    pub(crate) flush_bytes: usize,
    pub(crate) idle_flush: Duration,
    /// How long after the last commit it is noted outside the journal.
    pub(crate) note: Duration,
    pub(crate) relaxed_sync: Duration,
    pub(crate) sync: bool,
    pub(crate) two_phase: bool,
    pub(crate) fast_recovery: bool,
    pub(crate) journal_bytes: Option<u64>,
    /// Space that is kept for flushes.
    pub(crate) reserve: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::OpenOrCreate,
            read_only: false,
            upgrade: true,
            cache_bytes: DEFAULT_CACHE_BYTES,
            flush_events: FLUSH_EVENTS,
            flush_bytes: FLUSH_BYTES,
            idle_flush: Duration::from_millis(IDLE_FLUSH_MS),
            note: Duration::from_millis(NOTE_COMMIT_MS),
            relaxed_sync: Duration::from_millis(RELAXED_SYNC_MS),
            sync: true,
            two_phase: false,
            fast_recovery: true,
            journal_bytes: None,
            reserve: None,
        }
    }
}
