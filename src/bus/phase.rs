//! How far a handler, or the bus, is on its way from running to gone.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Whether a handler goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    /// It takes nothing more, and ends what it has taken as if it ran on: a handler that has had its one event.
    Ending,
    /// It ends what was committed when it was told to.
    Draining,
    /// It begins nothing more.
    Leaving,
    Gone,
}

/// The end of a time that begins now; one that no clock reaches is a century away.
pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 24 * 3_600))
}

/// Resolves when nothing more is to be taken.
pub(super) async fn over(phase: &mut watch::Receiver<Phase>) {
    // The sender lives as long as who asks.
    let _ = phase.wait_for(|now| *now > Phase::Running).await;
}
