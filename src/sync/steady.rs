//! A clock that only moves forward, also while the machine sleeps. It starts at the wall-clock time of its first use.

use std::sync::OnceLock;

use super::time::wall_clock;

/// Microseconds since the epoch, as if the wall clock had never been set since.
pub(crate) fn steady() -> i64 {
    static BEGAN: OnceLock<(i64, Elapsed)> = OnceLock::new();
    let (began, since) = BEGAN.get_or_init(|| (wall_clock(), Elapsed::begin()));
    began.saturating_add(since.micros())
}

/// Time since some moment, including sleep of the machine.
#[cfg(any(target_os = "linux", target_os = "android"))]
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
struct Elapsed(std::time::Instant);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Elapsed {
    fn begin() -> Self {
        Self(std::time::Instant::now())
    }

    fn micros(&self) -> i64 {
        super::time::micros(self.0.elapsed())
    }
}
