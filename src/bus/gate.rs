//! The priority gate: how far a handler has come with its first attempts, for handlers of lower priority to wait on.
//! No I/O, no clock.

use std::collections::BTreeSet;

/// The first attempts of one handler, by position.
#[derive(Clone, Debug)]
pub(super) struct GateProgress {
    /// Everything up to here was scanned.
    scanned: u64,
    /// Events whose first attempt has not ended.
    open: BTreeSet<u64>,
    /// It takes nothing at the moment, or is still replaying.
    late: bool,
    gone: bool,
}

impl GateProgress {
    /// A handler that starts after a position.
    pub(super) fn new(scanned: u64, late: bool) -> Self {
        Self { scanned, open: BTreeSet::new(), late, gone: false }
    }

    /// The event at this position was scanned, and will be tried unless `waits` is false.
    pub(super) fn took(&mut self, position: u64, waits: bool) {
        debug_assert!(position > self.scanned || !waits, "{position} came after {}", self.scanned);
        self.scanned = self.scanned.max(position);
        if waits {
            self.open.insert(position);
        }
    }

    /// Its first attempt has ended, or it waits for an earlier event that is being retried.
    pub(super) fn tried(&mut self, position: u64) {
        self.open.remove(&position);
    }

    pub(super) fn late(&mut self, late: bool) {
        self.late = late;
    }

    pub(super) fn gone(&mut self) {
        self.gone = true;
    }

    /// Whether the event at this position, which this handler takes, no longer has to wait for this handler.
    pub(super) fn has_passed(&self, position: u64) -> bool {
        self.gone || !self.open.contains(&position) && (self.late || self.scanned >= position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_not_looked_at_yet_is_waited_for_unless_the_handler_is_late() {
        let mut progress = GateProgress::new(10, false);
        assert!(progress.has_passed(10) && !progress.has_passed(11));
        progress.late(true);
        assert!(progress.has_passed(11));
        progress.late(false);
        progress.took(11, true);
        assert!(!progress.has_passed(11));
        progress.tried(11);
        assert!(progress.has_passed(11));
        progress.took(12, false);
        assert!(progress.has_passed(12) && !progress.has_passed(13));
        progress.gone();
        assert!(progress.has_passed(13));
    }

    proptest! {
        /// Positions are taken in order and tried in any: whoever asks is let through exactly when it is due.
        #[test]
        fn a_position_passes_when_it_was_tried(count in 1u64..40, order in any::<prop::sample::Index>(), seed: u64) {
            let mut progress = GateProgress::new(0, false);
            let mut open = Vec::new();
            let mut dice = seed;
            for n in 1..=count {
                prop_assert!(!progress.has_passed(n));
                progress.took(n, true);
                open.push(n);
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if dice >> 63 == 1 {
                    let tried = open.remove(order.index(open.len()));
                    progress.tried(tried);
                }
                for m in 1..=n {
                    prop_assert_eq!(progress.has_passed(m), !open.contains(&m));
                }
            }
        }
    }
}
