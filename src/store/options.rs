//! How a store is opened and written.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::durability::Durability;
use crate::schema::{Guard, Upcasts};

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
    pub(super) durability: Durability,
    pub(super) payload_bytes: usize,
    pub(super) sync: bool,
    pub(super) two_phase: bool,
    pub(super) fast_recovery: bool,
    pub(super) journal_bytes: Option<u64>,
    pub(super) upcasts: Option<Upcasts>,
    pub(super) guard: Arc<Guard>,
    pub(super) project_flush: Duration,
    /// The file, once it is open.
    pub(super) path: Option<PathBuf>,
}
