//! How fast a process goes on trying to own a store whose storage does not work.

use std::time::{Duration, Instant};

use crate::limits::{OWNER_HEALTHY_MS, OWNER_PAUSE_MS};

const PAUSE: Duration = Duration::from_millis(OWNER_PAUSE_MS);
const HEALTHY: Duration = Duration::from_millis(OWNER_HEALTHY_MS);
/// A pause becomes longer after so many, up to so many times as long.
const PAUSES_EACH: u32 = 64;
const LONGEST_PAUSE: u32 = 16;
/// Failures make it so many times as long at the most. Each attempt takes several pauses, so that another process may try first: a
/// storage that works again is found after about a second.
const LONGEST_AFTER_FAILURES: u32 = 4;

/// Each failure soon after the one before doubles the pauses.
#[derive(Debug)]
pub(super) struct Brake {
    factor: u32,
    /// When the file was opened last.
    opened: Option<Instant>,
    /// Since when somebody else has had the store.
    released: Option<Instant>,
}

impl Brake {
    pub(super) fn new() -> Self {
        Self { factor: 1, opened: None, released: None }
    }

    pub(super) fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// The file could not be opened, or the storage failed while it was open.
    pub(super) fn failed(&mut self, now: Instant) {
        let healthy =
            self.opened.take().is_some_and(|opened| now.saturating_duration_since(opened) >= HEALTHY);
        self.factor = if healthy { 1 } else { (self.factor * 2).min(LONGEST_AFTER_FAILURES) };
    }

    /// Somebody else has the store.
    pub(super) fn released(&mut self, now: Instant) {
        self.released = Some(now);
    }

    /// Whoever else had the store has it no more. If it worked for a while, this is another failure.
    pub(super) fn lost(&mut self, now: Instant) {
        let released = self.released.take();
        if released.is_some_and(|since| now.saturating_duration_since(since) >= HEALTHY) {
            *self = Self::new();
        }
    }

    /// How long to wait before looking again, after so many pauses in a row.
    pub(super) fn pause(&self, pauses: u32) -> Duration {
        PAUSE * (1 + pauses / PAUSES_EACH).max(self.factor).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_that_stays_bad_is_tried_less_and_less_often() {
        let (mut brake, now) = (Brake::new(), Instant::now());
        let mut pauses = vec![brake.pause(0)];
        for _ in 0..6 {
            brake.opened(now);
            brake.failed(now + HEALTHY / 2);
            pauses.push(brake.pause(0));
        }
        assert_eq!(pauses, [1, 2, 4, 4, 4, 4, 4].map(|times| PAUSE * times));
        // Nor may an opening that fails.
        brake.failed(now);
        assert_eq!(brake.pause(0), PAUSE * LONGEST_AFTER_FAILURES);
        brake.opened(now);
        brake.failed(now + HEALTHY);
        assert_eq!(brake.pause(0), PAUSE);
        // Another process that fails as soon does not make it faster.
        brake.failed(now);
        brake.released(now);
        brake.lost(now + HEALTHY / 2);
        assert_eq!(brake.pause(0), PAUSE * 2);
        brake.released(now);
        brake.lost(now + HEALTHY);
        assert_eq!(brake.pause(0), PAUSE);
    }

    #[test]
    fn one_that_waits_for_long_looks_less_often() {
        let brake = Brake::new();
        assert_eq!(brake.pause(PAUSES_EACH - 1), PAUSE);
        assert_eq!(brake.pause(PAUSES_EACH), PAUSE * 2);
        assert_eq!(brake.pause(u32::MAX), PAUSE * LONGEST_PAUSE);
    }
}
