//! When to check the timers again. Pure: from the pending timers and the clocks to a wait.

use std::time::Duration;

use super::clock::Now;
use crate::limits::TIMER_LOOK_MS;

/// The first timer of each clock that is not due yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) at: Option<i64>,
    pub(super) after: Option<i64>,
}

impl Pending {
    /// How long until something is due, unless the wall clock is set: it is checked at least every half minute. At
    /// least a millisecond, the resolution of a sleep.
    pub(super) fn wait(self, now: Now) -> Duration {
        let left = |due: Option<i64>, now: i64| due.map(|due| due.saturating_sub(now));
        let nearest = [left(self.at, now.wall), left(self.after, now.steady)].into_iter().flatten().min();
        let longest = Duration::from_millis(TIMER_LOOK_MS);
        let wait = nearest.map_or(longest, |left| Duration::from_micros(left.max(0).unsigned_abs()));
        wait.clamp(Duration::from_millis(1), longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now(wall: i64, steady: i64) -> Now {
        Now { wall, steady }
    }

    #[test]
    fn it_waits_for_the_nearest_by_its_own_clock() {
        let pending = Pending { at: Some(5_000_000), after: Some(2_000_000) };
        assert_eq!(pending.wait(now(1_000_000, 1_000_000)), Duration::from_secs(1));
        // The wall clock was set back an hour: what goes by it is far, what goes by the other is not.
        assert_eq!(pending.wait(now(-3_600_000_000, 1_000_000)), Duration::from_secs(1));
        // It was set forward: both are looked at at once.
        assert_eq!(pending.wait(now(9_000_000, 1_000_000)), Duration::from_millis(1));
        assert_eq!(Pending::default().wait(now(0, 0)), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn it_never_sleeps_past_a_timer_nor_for_long(at: Option<i64>, after: Option<i64>, wall: i64, steady: i64) {
            let wait = Pending { at, after }.wait(now(wall, steady));
            prop_assert!(wait <= Duration::from_secs(30) && wait >= Duration::from_millis(1));
            let micros = i128::try_from(wait.as_micros()).unwrap();
            for (due, now) in [(at, wall), (after, steady)] {
                let Some(due) = due else { continue };
                let left = i128::from(due) - i128::from(now);
                prop_assert!(micros <= left.max(1_000));
            }
        }
    }
}
