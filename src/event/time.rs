use std::fmt;
use std::str::FromStr;

use super::Invalid;
use crate::sync::time::wall_clock;

/// Microseconds since 1970-01-01T00:00:00Z. Printed and parsed as RFC 3339.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The clock of this machine, now.
    #[must_use]
    pub fn now() -> Self {
        Self(wall_clock())
    }

    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whether RFC 3339 can say it: from the year 0 on, in UTC, to the end of 9999-12-30 in every time zone.
    #[must_use]
    pub fn is_printable(self) -> bool {
        jiff::Timestamp::from_microsecond(self.0).is_ok()
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        s.parse::<jiff::Timestamp>().map(|t| Self(t.as_microsecond())).map_err(|_| {
            Invalid::new(
                "time",
                format!(
                    "`{}` is not RFC 3339 before 9999-12-30T22:00:00Z, for example 2026-02-03T04:05:06Z",
                    s.escape_debug()
                ),
            )
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => write!(f, "{t:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_always_printed_and_read_back() {
        let t: Timestamp = "2026-01-20T16:42:19.685+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-01-20T15:42:19.685000Z");
        assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
        assert_eq!(Timestamp::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn no_number_of_microseconds_panics() {
        for m in [i64::MIN, -62_135_596_800_000_000, 0, i64::MAX] {
            let _ = Timestamp::from_micros(m).to_string();
        }
    }
}
