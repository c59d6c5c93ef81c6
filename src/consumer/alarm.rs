//! When a consumer's work goes on by itself. Whoever polls the work waits for that with a timer of its own: one of a
//! runtime that has ended, or that nobody runs any more, would wake nobody.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::sync::time::Instant;
use crate::sync::{Mutex, lock};

/// The time that the work waits for now, if it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<Instant>>>);

/// Nothing is waited for any more when this is dropped.
struct Waits<'a>(&'a Alarm);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        *lock(&self.0.0) = None;
    }
}

impl Alarm {
    /// For the work: resolves at this time, or never. One at a time is waited for.
    pub(super) async fn at(&self, due: Option<Instant>) {
        let _waits = Waits(self);
        *lock(&self.0) = due;
        poll_fn(|_| match due {
            Some(due) if due <= Instant::now() => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }

    /// For whoever polls the work: when to poll it again.
    pub(super) fn due(&self) -> Option<Instant> {
        *lock(&self.0)
    }
}
