use std::time::Duration;

use crate::event::Timestamp;
use crate::sync::time::{Instant, micros};

/// A monotonic clock: the wall-clock time at its start, plus the time elapsed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: i64,
    begun: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { wall: Timestamp::now().micros(), begun: Instant::now() }
    }

    pub(crate) fn now(self) -> i64 {
        let passed = micros(self.begun.elapsed());
        self.wall.saturating_add(passed)
    }

    pub(crate) fn instant(self, at: i64) -> Instant {
        let ahead = u64::try_from(at.saturating_sub(self.wall)).unwrap_or(0);
        self.begun + Duration::from_micros(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_goes_on_like_any_other() {
        let begun = Instant::now();
        let clock = Clock { wall: -5_000_000, begun };
        assert!((-5_000_000..0).contains(&clock.now()));
        assert_eq!(clock.instant(-3_000_000), begun + Duration::from_secs(2));
        assert_eq!(clock.instant(-6_000_000), begun);
    }
}
