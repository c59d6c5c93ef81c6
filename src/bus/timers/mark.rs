//! Where a listing of timers goes on.

use std::fmt;
use std::str::FromStr;

use super::row::{Family, Row, key};
use super::timer::Timer;
use crate::event::{EventId, Invalid};

/// The place of a timer in [`list`](super::Timers::list), which it keeps when the timer has fired or was cancelled: a listing that
/// goes on after it neither repeats nor skips others. Opaque: print it, store it, parse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerMark {
    /// Refused ones come first.
    is_pending: bool,
    due: i64,
    id: EventId,
}

impl TimerMark {
    /// The key after which this family goes on; `None` when all of it comes after this.
    pub(super) fn key(&self, family: Family) -> Option<Vec<u8>> {
        let is_of = (family != Family::Refused) == self.is_pending;
        is_of.then(|| key(family, self.due, self.id))
    }

    /// Refused ones come before this, all of them.
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending
    }
}

impl From<&Row> for TimerMark {
    fn from(row: &Row) -> Self {
        Self { is_pending: row.family != Family::Refused, due: row.due, id: row.event.id }
    }
}

impl From<&Timer> for TimerMark {
    fn from(timer: &Timer) -> Self {
        Self { is_pending: timer.refused.is_none(), due: timer.due.micros(), id: timer.id }
    }
}

impl fmt::Display for TimerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.is_pending { 'p' } else { 'r' };
        f.pad(&format!("{family}{}_{}", self.due, self.id))
    }
}

impl FromStr for TimerMark {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            let (is_pending, rest) = match text.strip_prefix('p') {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix('r')?),
            };
            let (due, id) = rest.split_once('_')?;
            let mark = Self { is_pending, due: due.parse().ok()?, id: id.parse().ok()? };
            (mark.to_string() == text).then_some(mark)
        };
        parts().ok_or_else(|| Invalid::new("after", "is not the mark of a timer: use one of a page before"))
    }
}

impl Timer {
    /// Its place in a listing.
    #[must_use]
    pub fn mark(&self) -> TimerMark {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printing_and_parsing_agree(is_pending: bool, due: i64) {
            let mark = TimerMark { is_pending, due, id: EventId::new() };
            prop_assert_eq!(mark.to_string().parse::<TimerMark>().unwrap(), mark);
        }

        #[test]
        fn other_text_is_refused(text in "\\PC{0,60}") {
            prop_assert!(text.parse::<TimerMark>().is_err());
        }
    }
}
