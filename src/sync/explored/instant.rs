//! Moments by std's clock and by tokio's, both the explorer's while it explores.

use std::ops::{Add, AddAssign, Sub};
use std::sync::LazyLock;
use std::time::Duration;

use super::clock;
use super::switch::is_exploring;

/// Where the explorer's clock begins.
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

macro_rules! instant {
    ($name:ident, $inner:ty) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name($inner);

        impl $name {
            pub(crate) fn now() -> Self {
                if is_exploring() {
                    Self(<$inner>::from(*BEGINNING) + clock::now())
                } else {
                    Self(<$inner>::now())
                }
            }

            pub(crate) fn elapsed(&self) -> Duration {
                Self::now().0.saturating_duration_since(self.0)
            }

            pub(crate) fn checked_add(&self, time: Duration) -> Option<Self> {
                self.0.checked_add(time).map(Self)
            }
        }

        impl Add<Duration> for $name {
            type Output = Self;

            fn add(self, time: Duration) -> Self {
                Self(self.0 + time)
            }
        }

        impl AddAssign<Duration> for $name {
            fn add_assign(&mut self, time: Duration) {
                self.0 += time;
            }
        }

        impl Sub<Duration> for $name {
            type Output = Self;

            fn sub(self, time: Duration) -> Self {
                Self(self.0 - time)
            }
        }

        impl Sub for $name {
            type Output = Duration;

            fn sub(self, earlier: Self) -> Duration {
                self.0 - earlier.0
            }
        }
    };
}

instant!(Instant, std::time::Instant);
instant!(TokioInstant, tokio::time::Instant);

impl Instant {
    pub(crate) fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    pub(crate) fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

impl TokioInstant {
    pub(super) fn tokio(self) -> tokio::time::Instant {
        self.0
    }

    /// On the explorer's clock.
    pub(super) fn on_clock(self) -> Duration {
        self.0.into_std().saturating_duration_since(*BEGINNING)
    }
}
