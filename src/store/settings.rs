//! What the handles of an open store do with what goes in and comes out.

use std::sync::Arc;
use std::time::Duration;

use super::durability::Durability;
use crate::schema::{Guard, Upcasts};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Of appends that do not choose their own.
    pub(super) durability: Durability,
    pub(super) payload_bytes: usize,
    pub(super) upcasts: Option<Upcasts>,
    pub(super) guard: Arc<Guard>,
    /// How often the snapshots of projections are written.
    pub(super) project_flush: Duration,
}
