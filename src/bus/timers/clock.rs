//! The two clocks of timers. The wall clock can be set. The steady clock starts at the wall-clock time when the first
//! store of the process is opened and only moves forward, also while the machine sleeps.

use std::sync::OnceLock;

use crate::event::Timestamp;

/// Microseconds since the epoch, by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) wall: i64,
    pub(super) steady: i64,
}

pub(super) trait Clock: std::fmt::Debug + Send + Sync {
    fn now(&self) -> Now;
}

/// The clocks of this machine.
#[derive(Debug)]
pub(super) struct Machine {
    began: i64,
    since: Elapsed,
}

impl Machine {
    /// All stores of a process have one steady clock, so that several handles on a store agree on it.
    pub(super) fn of_this_process() -> &'static Self {
        static ONE: OnceLock<Machine> = OnceLock::new();
        ONE.get_or_init(|| Self { began: Timestamp::now().micros(), since: Elapsed::begin() })
    }
}

impl Clock for &'static Machine {
    fn now(&self) -> Now {
        Now { wall: Timestamp::now().micros(), steady: self.began.saturating_add(self.since.micros()) }
    }
}

/// Time since some moment, including sleep of the machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug)]
struct Elapsed(i64);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Elapsed {
    fn begin() -> Self {
        Self(Self::clock())
    }

    fn clock() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000)
    }

    fn micros(&self) -> i64 {
        Self::clock().saturating_sub(self.0).max(0)
    }
}

/// Elsewhere, whatever the standard library measures.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Debug)]
struct Elapsed(std::time::Instant);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Elapsed {
    fn begin() -> Self {
        Self(std::time::Instant::now())
    }

    fn micros(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}
