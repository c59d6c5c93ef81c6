//! When a consumer's work goes on by itself. Whoever polls the work waits for that with a timer of its own: one of a
//! runtime that has ended, or that nobody runs any more, would wake nobody.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::sync::time::Instant;
use crate::sync::{Mutex, lock};

/// The time that the work waits for, or waited for last.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<Instant>>>);

impl Alarm {
    /// For the work: resolves at this time, or never. One at a time is waited for.
    pub(super) async fn at(&self, due: Option<Instant>) {
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

    /// The same for one who has polled it when `passed` was over: then it does not wait for that any more.
    pub(super) fn after(&self, passed: Option<Instant>) -> Option<Instant> {
        let mut due = lock(&self.0);
        *due = due.filter(|due| passed.is_none_or(|passed| *due > passed));
        *due
    }
}
