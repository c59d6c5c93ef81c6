//! A turn that one caller has at a time, and for which nobody waits.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicBool);

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'a>(&'a AtomicBool);

impl Turn {
    /// `None` while somebody has it.
    pub(crate) fn begin(&self) -> Option<Taken<'_>> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| Taken(&self.0))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
