//! What an append asks for.

pub(crate) mod batch;
pub(crate) mod fence;
pub(crate) mod lease;
pub(crate) mod sidecar_changes;
