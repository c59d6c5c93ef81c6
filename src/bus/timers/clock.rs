//! The two clocks of timers. The wall clock can be set. The steady clock starts at the wall-clock time when the first
//! store of the process is opened and only moves forward, also while the machine sleeps.

use crate::sync::time::{steady_clock, wall_clock};

/// Microseconds since the epoch, by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) wall: i64,
    pub(super) steady: i64,
}

pub(super) trait Clock: std::fmt::Debug + Send + Sync {
    fn now(&self) -> Now;
}

/// The clocks of this machine. All stores of a process have one steady clock, so that several handles on a store agree
/// on it.
#[derive(Debug)]
pub(super) struct Machine;

impl Clock for Machine {
    fn now(&self) -> Now {
        Now { wall: wall_clock(), steady: steady_clock() }
    }
}
