use std::sync::Arc;

use crate::event::Place;

/// An event that was scanned.
pub(super) struct Unsaved {
    pub(super) place: Arc<Place>,
    pub(super) sequence: u64,
    pub(super) position: u64,
    pub(super) wanted: bool,
}
