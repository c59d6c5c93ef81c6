//! How a file is opened and written.

use std::time::Duration;

/// Whether a missing file is made, and an existing one taken.
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
    pub(crate) cache_bytes: usize,
    pub(crate) flush_events: usize,
    pub(crate) flush_bytes: usize,
    pub(crate) idle_flush: Duration,
    pub(crate) relaxed_sync: Duration,
    pub(crate) sync: bool,
    pub(crate) two_phase: bool,
    pub(crate) fast_recovery: bool,
    pub(crate) journal_bytes: Option<u64>,
}
