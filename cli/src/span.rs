//! Spans of time, shares and amounts, for people.

use std::time::Duration;

use jiff::fmt::friendly::{Spacing, SpanPrinter};
use jiff::{RoundMode, SpanRound, Unit};
use unicode_width::UnicodeWidthStr;

use super::style::{BAD, DIM, GOOD, NAME, NOTICE, PLAIN};
use super::view::grouped;
use retold::event::{Phase, Timestamp, parse_span};

/// Microseconds in its two largest units.
pub(super) fn span(us: u64) -> String {
    match us {
        ..1_000 => return format!("{us}µs"),
        1_000..1_000_000 => return format!("{}ms", us / 1_000),
        1_000_000..10_000_000 => return format!("{:.1}s", us as f64 / 1e6),
        _ => {}
    }
    let seconds = us / 1_000_000;
    let least = match seconds {
        ..3_600 => Unit::Second,
        3_600..86_400 => Unit::Minute,
        _ => Unit::Hour,
    };
    let cut = SpanRound::new().largest(Unit::Day).smallest(least).mode(RoundMode::Trunc).days_are_24_hours();
    let whole = jiff::Span::new().try_seconds(seconds.cast_signed()).and_then(|span| span.round(cut));
    let printer = SpanPrinter::new().spacing(Spacing::None);
    // A span beyond the calendar is printed as it is.
    whole.map_or_else(|_| format!("{seconds}s"), |span| printer.span_to_string(&span))
}

/// How long ago it was.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    span(u64::try_from(now.micros().saturating_sub(time.micros())).unwrap_or_default())
}

/// A time, or how long ago: `90s`, `15m`, `1h 30m`, `7d`.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    match parse_span(text) {
        Ok(ago) => {
            let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
            Ok(Timestamp::from_micros(Timestamp::now().micros().saturating_sub(ago)))
        }
        Err(_) => text.parse().map_err(|_| {
            "not a time such as 2026-02-03T04:05:06Z, nor a span such as 90s, 15m, 1h 30m, 7d".into()
        }),
    }
}

/// A time, or how long from now: `90s`, `15m`, `1h 30m`, `7d`.
pub(super) fn ahead(text: &str) -> Result<Timestamp, String> {
    match parse_span(text) {
        Ok(left) => {
            let left = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
            Ok(Timestamp::from_micros(Timestamp::now().micros().saturating_add(left)))
        }
        Err(_) => since(text),
    }
}

/// A fraction as a bar of this many columns.
pub(super) fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let (full, part) = (eighths / 8, EIGHTHS.get(eighths % 8).copied().unwrap_or_default());
    let used = full + usize::from(!part.is_empty());
    format!("{}{part}{}", "█".repeat(full), "░".repeat(columns.saturating_sub(used)))
}

/// Counts as a sparkline.
pub(super) fn sparks<'a>(counts: impl Iterator<Item = &'a u64> + Clone) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.clone().copied().max().unwrap_or_default();
    let step = |n: u64| match n {
        0 => ' ',
        n => STEPS.get(((n * 8).div_ceil(most.max(1)) as usize).saturating_sub(1)).copied().unwrap_or('█'),
    };
    counts.map(|n| step(*n)).collect()
}

/// A number with its significant digits.
pub(super) fn amount(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(value.abs() as u64));
    }
    match value.abs() {
        small if small < 0.01 => format!("{value:.3e}"),
        large if large >= 1e15 => format!("{value:.3e}"),
        // Fractions of large numbers are noise.
        large if large >= 1_000.0 => amount(value.round()),
        _ => format!("{value:.2}"),
    }
}

/// Pieces side by side, wrapped to the terminal.
pub(super) fn wrapped(pieces: &[impl AsRef<str>], width: Option<usize>) -> String {
    let wide = |text: &str| anstream::adapter::strip_str(text).to_string().width();
    let (mut text, mut used) = (String::new(), 0);
    for piece in pieces.iter().map(AsRef::as_ref) {
        let more = wide(piece);
        if used > 0 && width.is_some_and(|width| used + 2 + more > width) {
            text.push('\n');
            used = 0;
        } else if used > 0 {
            text.push_str("  ");
            used += 2;
        }
        text.push_str(piece);
        used += more;
    }
    text
}

/// The color of a phase.
pub(super) fn of_phase(phase: Phase) -> anstyle::Style {
    match phase {
        Phase::Running => NAME,
        Phase::Completed => GOOD,
        Phase::Failed => BAD,
        Phase::Paused | Phase::Waiting => NOTICE,
        Phase::Stopped | Phase::Cancelled | Phase::Deleted => DIM,
        _ => PLAIN,
    }
}

/// A number of seconds, or a span with units.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => {
            Duration::try_from_secs_f64(seconds).map_err(|_| "not a valid number of seconds".to_owned())
        }
        Err(_) => parse_span(text)
            .map_err(|_| "not a number of seconds, nor a span such as 90s, 10m, 1h 30m or 2d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_taken_with_units_or_without() {
        for (text, ms) in [
            ("2", 2_000),
            ("0.2", 200),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h 30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "soon", "-1", "-5s", "nan", "inf", "1e99", "1y"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_said_in_two_units() {
        for (us, text) in [
            (12, "12µs"),
            (45_600, "45ms"),
            (1_500_000, "1.5s"),
            (59_000_000, "59s"),
            (3_600_000_000, "1h"),
            (3_661_000_000, "1h1m"),
            (3_659_999_999, "1h"),
            (90_061_000_000, "1d1h"),
            (86_400_000_000, "1d"),
            (1_000_000_000_000_000, "11574d1h"),
            (u64::MAX, "18446744073709s"),
        ] {
            assert_eq!(span(us), text);
        }
    }

    #[test]
    fn bars_and_columns_are_as_wide_as_asked() {
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(0.3, 4), "█▎░░");
        assert_eq!(bar(7.0, 3), "███");
        assert_eq!(sparks([0, 1, 4, 8].iter()), " ▁▄█");
        assert_eq!(sparks([].iter()), "");
    }

    #[test]
    fn a_time_or_a_span_is_taken_and_nothing_else() {
        assert!(since("1h").unwrap() < since("15m").unwrap());
        assert!(since("1d 2h").unwrap() < since("25h").unwrap());
        assert!(since("4294967295h").unwrap() < since("7d").unwrap());
        assert!(since("2026-02-03T04:05:06Z").is_ok());
        for bad in ["", "h", "1", "1y", "-1h", "soon", "1µ"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_have_the_digits_that_matter() {
        let texts = [12_345.0, 0.5, 0.000_4, -3.0].map(amount);
        assert_eq!(texts, ["12,345", "0.50", "4.000e-4", "-3"]);
    }
}
