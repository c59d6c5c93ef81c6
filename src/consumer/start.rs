//! What a consumer's task begins with.

use crate::error::Result;
use crate::event::EventId;
use crate::follow::{Follow, Following};
use crate::store::{StoreHandle, unblocked};

pub(super) async fn begun(handle: &StoreHandle, follow: Follow) -> Result<Following> {
    let handle = handle.clone();
    unblocked(move || handle.follow(follow)).await
}

/// Names who writes: no other task has the same.
pub(super) fn writer() -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *EventId::new().bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
