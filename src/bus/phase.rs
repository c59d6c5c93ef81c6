//! The phases of a handler, or the bus, from running to gone.

use std::time::Duration;

use tokio::sync::watch;

use crate::sync::time::Instant;

/// Whether a handler goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    /// It takes nothing more, and finishes what it has as usual: a `once` handler after its event.
    Ending,
    /// It finishes what was committed when draining started.
    Draining,
    /// It starts nothing more.
    Leaving,
    Gone,
}

/// A deadline from now; one that overflows is a century away.
pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 24 * 3_600))
}

/// Resolves when nothing more may be taken.
pub(super) async fn over(phase: &mut watch::Receiver<Phase>) {
    // The sender lives as long as who asks.
    let _ = phase.wait_for(|now| *now > Phase::Running).await;
}
