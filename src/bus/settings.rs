//! The settings of a bus.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::persist::PersistRules;
use crate::delivery::DeliverySettings;
use crate::limits::{
    DEFAULT_AWAIT_MS, DEFAULT_BUS_WORKERS, DEFAULT_DRAIN_MS, DEFAULT_HANDLER_LETTERS, DEFAULT_HISTORY,
    DEFAULT_NOWAIT_EVENTS, SPILL_BYTES, SPILL_RESERVE_BYTES,
};

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) history: usize,
    pub(super) dead_letters: usize,
    /// Of handlers that say nothing else.
    pub(super) delivery: DeliverySettings,
    pub(super) await_limit: Duration,
    pub(super) drain_limit: Duration,
    pub(super) nowait: usize,
    pub(super) rules: PersistRules,
    /// `None`: beside the store, if it has a file.
    pub(super) spill: Option<PathBuf>,
    /// Its maximum size in bytes; 0 for none.
    pub(super) spill_limit: u64,
    /// What is reserved of it beforehand.
    pub(super) spill_reserve: u64,
    pub(super) timers: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: DEFAULT_BUS_WORKERS,
            history: DEFAULT_HISTORY,
            dead_letters: DEFAULT_HANDLER_LETTERS,
            delivery: DeliverySettings::of_handler(),
            await_limit: Duration::from_millis(DEFAULT_AWAIT_MS),
            drain_limit: Duration::from_millis(DEFAULT_DRAIN_MS),
            nowait: DEFAULT_NOWAIT_EVENTS,
            rules: PersistRules::default(),
            spill: None,
            spill_limit: SPILL_BYTES,
            spill_reserve: SPILL_RESERVE_BYTES,
            timers: true,
        }
    }
}
