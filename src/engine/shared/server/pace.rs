//! How fast a client has to go on with a message that it has begun.

use std::time::Duration;

use crate::engine::shared::peer::Reach;
use crate::limits::{REMOTE_LEAST_RATE, SHARED_LEAST_RATE, SHARED_STALL_MS};

const STALL: Duration = Duration::from_millis(SHARED_STALL_MS);
const STEP: Duration = Duration::from_millis(SHARED_STALL_MS / 20);

/// What is left of the time that a client has. It is counted in steps, each as long as it was meant to be at the most: whatever
/// takes longer is this process, which was stopped or had other things to do.
#[derive(Debug)]
pub(super) struct Pace {
    /// Until a message of several frames has to be whole, since it keeps its room from others.
    whole: Duration,
    /// Until the next bytes have to come.
    next: Duration,
    /// Bytes a second.
    least: u64,
}

impl Pace {
    pub(super) fn of(reach: Reach) -> Self {
        let least = match reach {
            Reach::Local => SHARED_LEAST_RATE,
            Reach::Remote => REMOTE_LEAST_RATE,
        };
        Self { whole: Duration::ZERO, next: STALL, least }
    }

    /// A message of several frames begins, with so many bytes in all.
    pub(super) fn begins(&mut self, total: u32) {
        self.whole = STALL + Duration::from_secs(u64::from(total) / self.least);
    }

    /// How long to wait for bytes before looking again.
    pub(super) fn step(&self, is_partial: bool) -> Duration {
        self.left(is_partial).min(STEP)
    }

    fn left(&self, is_partial: bool) -> Duration {
        if is_partial { self.whole.min(self.next) } else { self.next }
    }

    /// A step took so long.
    pub(super) fn waited(&mut self, step: Duration, took: Duration) {
        let took = took.min(step);
        self.whole = self.whole.saturating_sub(took);
        self.next = self.next.saturating_sub(took);
    }

    /// Bytes came.
    pub(super) fn goes_on(&mut self) {
        self.next = STALL;
    }

    /// Whether the client is too slow.
    pub(super) fn is_over(&self, is_partial: bool) -> bool {
        self.left(is_partial).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Steps without a byte until it is over.
    fn steps(pace: &mut Pace, is_partial: bool, took: Duration) -> usize {
        let mut steps = 0;
        while !pace.is_over(is_partial) {
            let step = pace.step(is_partial);
            pace.waited(step, took.max(step));
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_client_that_stops_amid_a_message_has_ten_seconds() {
        assert_eq!(steps(&mut Pace::of(Reach::Local), false, STEP), 20);
    }

    #[test]
    fn a_message_of_several_frames_has_to_be_whole_in_time_however_steadily_its_bytes_come() {
        let mut pace = Pace::of(Reach::Local);
        pace.begins(20 << 20);
        let mut waited = Duration::ZERO;
        while !pace.is_over(true) {
            let step = pace.step(true);
            pace.waited(step, step);
            pace.goes_on();
            waited += step;
        }
        assert_eq!(waited, STALL + Duration::from_secs(20));
    }

    #[test]
    fn the_time_in_which_this_process_was_stopped_is_not_the_clients() {
        let mut pace = Pace::of(Reach::Local);
        pace.begins(20 << 20);
        let step = pace.step(true);
        pace.waited(step, DAY);
        assert!(!pace.is_over(true));
        pace.goes_on();
        assert_eq!(steps(&mut pace, true, DAY), 20);
    }

    #[test]
    fn a_step_that_ends_early_counts_as_long_as_it_took() {
        let mut pace = Pace::of(Reach::Local);
        pace.waited(STEP, STEP / 2);
        assert_eq!(pace.left(false), STALL - STEP / 2);
    }
}
