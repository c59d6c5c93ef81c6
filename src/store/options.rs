//! How a file is opened and written.

use std::time::Duration;

/// Whether a missing file is made, and an existing one taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    OpenOrCreate,
    OpenOnly,
    CreateOnly,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) mode: Mode,
    pub(super) read_only: bool,
    pub(super) cache_bytes: usize,
    pub(super) settle_events: usize,
    pub(super) settle_bytes: usize,
    pub(super) idle_settle: Duration,
    pub(super) relaxed_sync: Duration,
    pub(super) sync: bool,
    pub(super) two_phase: bool,
    pub(super) fast_recovery: bool,
    pub(super) journal_bytes: Option<u64>,
}
