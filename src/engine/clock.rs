//! Recorded times never decrease, whatever the machine's clock does.

use crate::event::Timestamp;

/// The last recorded time.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: Option<Timestamp>,
}

impl Clock {
    /// The time to record at, given the machine's time.
    pub(crate) fn next(&mut self, now: Timestamp) -> Timestamp {
        let next = self.last.map_or(now, |last| last.max(now));
        self.last = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_waited_for() {
        let mut clock = Clock::default();
        let times = [5, 7, 3, 6, 8].map(|micros| clock.next(Timestamp::from_micros(micros)).micros());
        assert_eq!(times, [5, 7, 7, 7, 8]);
    }
}
