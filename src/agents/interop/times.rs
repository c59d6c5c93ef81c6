//! Times as other programs write them.

use crate::event::Timestamp;

use super::fields::{Fields, string};
use super::names;

/// Below this many, a number of units since 1970 is one of seconds; times a thousand, one of milliseconds; and so on.
/// Seconds reach it in the year 5138.
const SECONDS: f64 = 1e11;

/// The time in a member: text with or without a zone, or a number since 1970 in seconds, milliseconds, microseconds or
/// nanoseconds, whichever its size says.
pub(crate) fn in_member(f: &Fields<'_>, name: &str) -> Option<Timestamp> {
    of_json(f.value(name)?)
}

/// The same for the text of a JSON value.
pub(crate) fn of_json(value: &str) -> Option<Timestamp> {
    if value.starts_with('"') {
        let text = string(value)?;
        return names::time(&text).or_else(|| since_1970(&text));
    }
    since_1970(value)
}

fn since_1970(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok().filter(|n: &f64| n.is_finite())?;
    let (times, per) = match number.abs() {
        n if n < SECONDS => (1_000_000, 1),
        n if n < SECONDS * 1e3 => (1_000, 1),
        n if n < SECONDS * 1e6 => (1, 1),
        _ => (1, 1_000),
    };
    // A float has not enough digits for whole nanoseconds.
    let micros = match text.parse::<i64>() {
        Ok(n) => n.checked_mul(times)? / per,
        Err(_) => (number * times as f64 / per as f64).round() as i64,
    };
    Some(Timestamp::from_micros(micros)).filter(|t| t.is_printable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_its_unit_by_its_size() {
        let want = Some(Timestamp::from_micros(1_772_569_904_604_000));
        for text in [
            "1772569904.604",
            "1772569904604",
            "1772569904604000",
            "1772569904604000123",
            "\"1772569904604\"",
            "1.772569904604e9",
            "1772569904604e-3",
            "1772569904604000000000e-3",
            "1772569904604000000.0",
        ] {
            assert_eq!(of_json(text), want, "{text}");
        }
        assert_eq!(of_json("\"2026-03-03T20:31:44.604Z\""), want);
        assert_eq!(of_json("\"2026-03-03T20:31:44.604\""), want);
        assert_eq!(of_json("0"), Some(Timestamp::from_micros(0)));
        // More than 64 bits are nanoseconds, up to the last year that can be written.
        assert_eq!(of_json("18446744073709551616").unwrap().to_string(), "2554-07-21T23:34:33.709552Z");
        let long = format!("1{}", "0".repeat(400));
        for text in ["\"soon\"", "true", "{}", "1e999", "-1e999", "1e30", "\"\"", "\"nan\"", "\"inf\"", &long]
        {
            assert_eq!(of_json(text), None, "{text}");
        }
    }
}
