//! `Stream-Cursor`: a number that grows with time, for caches that collapse requests into one. Whoever sends back the number of
//! now gets a later one, so that nobody is answered from a cache for ever.

use retold::Timestamp;

/// 2024-10-09T00:00:00Z, in seconds since the epoch.
const BEGAN: i64 = 1_728_432_000;
/// Seconds for which the number stays.
const INTERVAL: i64 = 20;
/// The most that a number is moved on: an hour.
const MOST: u64 = 3_600 / INTERVAL.unsigned_abs();

/// The number for an answer at this time, to a request with this one.
pub(super) fn cursor(now: Timestamp, sent: Option<&str>) -> u64 {
    let micros = now.micros();
    let interval = (micros.div_euclid(1_000_000) - BEGAN).div_euclid(INTERVAL).max(0).unsigned_abs();
    match sent.and_then(|text| text.parse::<u64>().ok()) {
        // The time is as good as chance here: nobody gains from a guess.
        Some(sent) if sent >= interval => sent.saturating_add(1 + micros.unsigned_abs() % MOST),
        _ => interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_grows_with_time_and_with_each_request_that_has_it() {
        let at = |seconds: i64| Timestamp::from_micros((BEGAN + seconds) * 1_000_000);
        assert_eq!([cursor(at(0), None), cursor(at(39), None), cursor(at(40), Some("1"))], [0, 1, 2]);
        assert_eq!(cursor(at(40), Some("x")), 2);
        for sent in [2, 3, 1_000] {
            let later = cursor(at(41), Some(&sent.to_string()));
            assert!(later > sent && later <= sent + MOST, "{sent} {later}");
        }
        assert_eq!(cursor(at(-5), None), 0);
        assert_eq!(cursor(at(1), Some(&u64::MAX.to_string())), u64::MAX);
    }
}
