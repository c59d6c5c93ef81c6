//! The turn to make the commits that an engine's queue holds.

use std::sync::Arc;

use crate::engine::port::Engine;

/// Taken while nobody makes any. It is given back when it is dropped: then another thread makes them.
pub(super) struct Lead(Option<Arc<dyn Engine>>);

impl Lead {
    pub(super) fn take(engine: &Arc<dyn Engine>) -> Option<Self> {
        engine.take_lead().then(|| Self(Some(engine.clone())))
    }

    /// Makes what is queued. Blocks.
    pub(super) fn lead(mut self) {
        if let Some(engine) = self.0.take() {
            engine.lead();
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(engine) = &self.0 {
            engine.pass_lead();
        }
    }
}
