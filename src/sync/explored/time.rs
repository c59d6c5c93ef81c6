//! Waiting for a time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::clock::{self, Alarm, Alarmed};
pub(crate) use super::instant::TokioInstant as Instant;
use super::runtimes::here;
use super::switch::is_exploring;
use crate::sync::steady::steady;
use crate::sync::wall;
pub(crate) use crate::sync::wall::micros;

/// The explorer's wall clock begins here.
const BEGINNING: i64 = 1_800_000_000_000_000;
/// No timer is later: tokio's does without a time that no clock reaches.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Microseconds since the epoch, by a clock that only moves forward.
pub(crate) fn steady_clock() -> i64 {
    if is_exploring() { wall_clock() } else { steady() }
}

/// Microseconds since the epoch, by the wall clock.
pub(crate) fn wall_clock() -> i64 {
    if is_exploring() { BEGINNING + micros(clock::now()) } else { wall::wall_clock() }
}

pub(crate) enum Sleep {
    Tokio(Pin<Box<tokio::time::Sleep>>),
    Explored { until: Instant, alarm: Option<Alarmed> },
}

pub(crate) fn sleep(time: Duration) -> Sleep {
    sleep_until(later(time))
}

pub(crate) fn sleep_until(until: Instant) -> Sleep {
    if is_exploring() {
        Sleep::Explored { until, alarm: None }
    } else {
        Sleep::Tokio(Box::pin(tokio::time::sleep_until(until.tokio())))
    }
}

fn later(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FAR)
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Self::Tokio(sleep) => sleep.as_mut().poll(context),
            Self::Explored { until, alarm } => {
                *alarm = None;
                if Instant::now() >= *until {
                    return Poll::Ready(());
                }
                *alarm = Some(clock::alarm(until.on_clock(), Alarm::Wake(here(), context.waker().clone())));
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sleep")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

pub(crate) fn timeout<F: Future>(
    time: Duration,
    work: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    timeout_at(later(time), work)
}

pub(crate) fn timeout_at<F: Future>(
    until: Instant,
    work: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let sleep = sleep_until(until);
    async move {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = sleep => Err(Elapsed),
        }
    }
}
