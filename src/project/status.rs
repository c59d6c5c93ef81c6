//! What others see of a projection that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::task::Task;
use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
pub(super) struct Status {
    /// Every event up to here was followed.
    pub(super) position: AtomicU64,
    pub(super) parked: AtomicUsize,
    /// The states are kept up here.
    holds: AtomicBool,
    task: Mutex<Option<Arc<Task>>>,
    /// Why it does not go on.
    failed: Mutex<Option<String>>,
}

impl Status {
    pub(super) fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    pub(super) fn task(&self) -> Option<Arc<Task>> {
        lock(&self.task).clone()
    }

    pub(super) fn set_task(&self, task: Option<Arc<Task>>) {
        *lock(&self.task) = task;
    }

    pub(super) fn failed(&self) -> Option<String> {
        lock(&self.failed).clone()
    }

    pub(super) fn go_on(&self) {
        *lock(&self.failed) = None;
    }

    pub(super) fn fail(&self, reason: String) {
        *lock(&self.failed) = Some(reason);
    }
}
