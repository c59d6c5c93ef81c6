use std::time::Duration;

use jiff::{SignedDuration, SpanRelativeTo};

use super::Invalid;

/// Parses a span of time as people write it: `90s`, `10m`, `1h 30m`, `2d`, `1 week`, `PT5M`. A day has 24 hours;
/// months and years are refused, since their length varies.
///
/// ```
/// use std::time::Duration;
/// use retold::event::{parse_span, span_text};
/// let span = parse_span("1h 30m")?;
/// assert_eq!(span, Duration::from_secs(5_400));
/// assert_eq!(span_text(span), "1h 30m");
/// # Ok::<(), retold::Invalid>(())
/// ```
///
/// # Errors
/// [`Invalid`] with the field `span` for anything else, and for a span that is negative.
pub fn parse_span(text: &str) -> Result<Duration, Invalid> {
    let with_days = || text.parse::<jiff::Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    // Without days it may be longer than a calendar is.
    let span = text.parse::<SignedDuration>().ok().or_else(with_days);
    span.and_then(|span| Duration::try_from(span).ok()).ok_or_else(|| {
        let reason = format!("`{}` is not a span; write it like 10m, 90s, 1h 30m or 2d", text.escape_debug());
        Invalid::new("span", reason)
    })
}

/// A span of time as people write it, in hours and less. [`parse_span`] reads it back.
#[must_use]
pub fn span_text(span: Duration) -> String {
    match SignedDuration::try_from(span) {
        Ok(span) => format!("{span:#}"),
        Err(_) => format!("{}s", span.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_and_weeks_are_spans_and_months_are_none() {
        for (text, seconds) in [
            ("90s", 90),
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("2 days", 172_800),
            ("1d 1h", 90_000),
            ("1w", 604_800),
            ("PT5M", 300),
            ("9000000000h", 32_400_000_000_000),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "h", "1", "soon", "1y", "1mo", "-5s", "-2d", "1d ago", "1\u{b5}"] {
            assert_eq!(parse_span(bad).unwrap_err().field, "span", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_span_that_was_written_is_read_back(seconds in 0..=i64::MAX as u64, nanos in 0..1_000_000_000_u32) {
            let span = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_span(&span_text(span)), Ok(span));
        }
    }
}
