//! The wall clock, and spans of time as numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch.
pub(crate) fn wall_clock() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => micros(before.duration()).saturating_neg(),
    }
}

/// A span in microseconds, as far as they can be counted.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
