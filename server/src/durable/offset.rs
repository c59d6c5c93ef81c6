//! Offsets: where in a stream something is. One is the sequence of the last event before it, in twenty digits.

use crate::input::invalid;
use crate::problem::Problem;

/// A stream's own first event says what it is. What comes after it is data.
pub(super) const START: u64 = 1;
/// Characters of a start that is written in zeros.
const MOST_ZEROS: usize = 64;

/// An offset of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offset {
    /// Before everything: `-1`, or nothing but zeros.
    Start,
    /// After everything that there is.
    Now,
    /// After this sequence.
    After(u64),
}

impl Offset {
    pub(super) fn parse(name: &'static str, text: &str) -> Result<Self, Problem> {
        let is_zeros = text.starts_with('0')
            && text.len() <= MOST_ZEROS
            && text.bytes().all(|byte| matches!(byte, b'0' | b'_'));
        match text {
            "-1" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            _ if is_zeros => Ok(Self::Start),
            _ if text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self::After).map_err(|_| bad(name))
            }
            _ => Err(bad(name)),
        }
    }

    /// The last sequence before it, in a stream that begins after one sequence and ends with another.
    pub(super) fn resolved(self, name: &'static str, start: u64, end: u64) -> Result<u64, Problem> {
        match self {
            Self::Start => Ok(start),
            Self::Now => Ok(end),
            Self::After(sequence) if sequence <= end => Ok(sequence.max(start)),
            Self::After(_) => Err(invalid(
                name,
                "is beyond the end of this stream: it is of another one, or of one that was deleted",
            )),
        }
    }
}

fn bad(name: &'static str) -> Problem {
    invalid(name, "is no offset: take one that the server gave, `-1` for the beginning, or `now`")
}

/// As answers have it.
pub(super) fn text(after: u64) -> String {
    format!("{after:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_one_that_was_given_or_a_word() {
        let parse = |text: &str| Offset::parse("offset", text).ok();
        assert_eq!(parse("-1"), Some(Offset::Start));
        assert_eq!(parse("0"), Some(Offset::Start));
        assert_eq!(parse("0000000000000000_0000000000000000"), Some(Offset::Start));
        assert_eq!(parse(&text(0)), Some(Offset::Start));
        assert_eq!(parse("now"), Some(Offset::Now));
        assert_eq!(parse(&text(42)), Some(Offset::After(42)));
        assert_eq!(parse(&text(u64::MAX)), Some(Offset::After(u64::MAX)));
        for bad in [
            "",
            "1",
            "42",
            "-2",
            "_",
            "Now",
            "0,1",
            "0 1",
            "99999999999999999999",
            "+0000000000000000042",
            &"0".repeat(65),
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert!(text(9) < text(10) && text(u64::MAX - 1) < text(u64::MAX));
    }

    #[test]
    fn an_offset_is_within_its_stream() {
        let of = |offset: Offset| offset.resolved("offset", 1, 5).ok();
        assert_eq!([of(Offset::Start), of(Offset::Now), of(Offset::After(3))], [Some(1), Some(5), Some(3)]);
        assert_eq!(
            [of(Offset::After(0)), of(Offset::After(5)), of(Offset::After(6))],
            [Some(1), Some(5), None]
        );
    }
}
