//! Mapping times to columns, and durations to words.

use crate::view::short;
use retold::event::Timestamp;

/// A period of time, drawn from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: Timestamp,
    micros: u64,
}

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Scale {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, micros: u64::try_from(to.micros().saturating_sub(from.micros())).unwrap_or_default() }
    }

    pub(super) fn micros(&self) -> u64 {
        self.micros
    }

    /// When it starts, to the second.
    pub(super) fn begin(&self) -> String {
        short(self.from)
    }

    /// The column of a time, out of this many. What lies before or after the period is at its edge.
    pub(super) fn at(&self, time: Timestamp, width: f64) -> f64 {
        let since = u64::try_from(time.micros().saturating_sub(self.from.micros())).unwrap_or_default();
        since.min(self.micros) as f64 / self.micros.max(1) as f64 * width
    }

    /// Whether any of the time from one moment to another lies in the period.
    pub(super) fn shows(&self, from: Timestamp, to: Timestamp) -> bool {
        let end = self.from.micros().saturating_add(i64::try_from(self.micros).unwrap_or(i64::MAX));
        to >= self.from && from.micros() <= end
    }

    /// Evenly spaced ticks, at most this many: the column of each and its label.
    pub(super) fn ticks(&self, most: usize, width: f64) -> Vec<(f64, String)> {
        let step = self.step(most.max(1) as u64);
        let all = (0..).map(|n| n * step).take_while(|t| *t <= self.micros);
        all.map(|t| (t as f64 / self.micros.max(1) as f64 * width, lasted(t))).collect()
    }

    fn step(&self, most: u64) -> u64 {
        let decimal = (0..6).flat_map(|power| [1, 2, 5].map(|n| n * 10_u64.pow(power)));
        let seconds = [1, 2, 5, 10, 15, 30].map(|n| n * SECOND);
        let minutes = [1, 2, 5, 10, 15, 30].map(|n| n * MINUTE);
        let hours = [1, 2, 3, 6, 12].map(|n| n * HOUR);
        let days = (0..20).map(|n| DAY << n);
        let steps = decimal.chain(seconds).chain(minutes).chain(hours).chain(days);
        steps.into_iter().find(|step| self.micros / step < most).unwrap_or(u64::MAX)
    }
}

/// The duration, in at most two units.
pub(super) fn lasted(micros: u64) -> String {
    let two = |big: u64, one: &str, small: u64, other: &str| match micros % big / small {
        0 => format!("{}{one}", micros / big),
        rest => format!("{}{one} {rest}{other}", micros / big),
    };
    match micros {
        0 => "0".to_owned(),
        1..1_000 => format!("{micros}µs"),
        1_000..SECOND => format!("{}ms", micros / 1_000),
        SECOND..MINUTE if micros < 10 * SECOND && micros % SECOND >= SECOND / 10 => {
            format!("{}.{}s", micros / SECOND, micros % SECOND / 100_000)
        }
        SECOND..MINUTE => format!("{}s", micros / SECOND),
        MINUTE..HOUR => two(MINUTE, "m", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "m"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units_at_the_most() {
        let said = [
            0,
            870,
            12_400,
            2_040_000,
            3_400_000,
            12_300_000,
            237 * SECOND,
            2 * MINUTE,
            3_900 * SECOND,
            2 * DAY,
        ];
        let said: Vec<String> = said.into_iter().map(lasted).collect();
        assert_eq!(said, ["0", "870µs", "12ms", "2s", "3.4s", "12s", "3m 57s", "2m", "1h 5m", "2d"]);
    }

    #[test]
    fn ticks_are_even_and_few_whatever_the_stretch() {
        for micros in [0, 1, 999, SECOND, 705 * SECOND, 5 * HOUR, 400 * DAY, u64::MAX >> 1] {
            let scale = Scale { from: Timestamp::from_micros(0), micros };
            let ticks = scale.ticks(6, 60.0);
            assert!(!ticks.is_empty() && ticks.len() <= 6, "{micros}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| (0.0..=60.0).contains(at)));
        }
        let scale = Scale { from: Timestamp::from_micros(0), micros: 705 * SECOND };
        let names: Vec<String> = scale.ticks(6, 60.0).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0", "2m", "4m", "6m", "8m", "10m"]);
    }
}
