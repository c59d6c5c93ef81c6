//! What the handles of an open store do with what goes in and comes out.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Durability;
use crate::schema::{Guard, Upcasts};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Of appends that do not choose their own.
    pub(crate) durability: Durability,
    pub(crate) payload_bytes: usize,
    pub(crate) upcasts: Option<Upcasts>,
    pub(crate) guard: Arc<Guard>,
    /// How often the snapshots of projections are written.
    pub(crate) project_flush: Duration,
    /// How long the lease on a projection lasts.
    pub(crate) project_lease: Duration,
}
