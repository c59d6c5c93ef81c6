//! When branches go by themselves. Pure functions of their attributes.

use std::time::Duration;

use crate::codec::{Attributes, IdleRow};
use crate::error::Result;
use crate::event::{Invalid, Timestamp};

/// When a branch is deleted by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// At this time.
    At(Timestamp),
    /// Once nobody has used it for so long. It is used by whoever appends to it, and whoever reads its events, alone or with its
    /// session, while a process has the store open for writing; not by one who lists it, waits for its next event, reads one by its
    /// id, reads a fork of it, or opens a store read-only that nobody else has open.
    Unused(Duration),
}

impl Expiry {
    /// These attributes with this expiry, or none, in place of what they had.
    ///
    /// # Errors
    /// [`Invalid`] for a time that has passed, or a span of nothing.
    pub(crate) fn put(expiry: Option<Self>, before: &Attributes, now: Timestamp) -> Result<Attributes> {
        let (expires, idle) = match expiry {
            None => (None, None),
            Some(Self::At(at)) if at <= now => {
                let reason = format!("of {at} has passed; delete the branch instead");
                return Err(Invalid::new("expiry", reason).into());
            }
            Some(Self::At(at)) => (Some(at.micros()), None),
            Some(Self::Unused(span)) => {
                // Longer ones never end as well.
                let after = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
                if after == 0 {
                    return Err(Invalid::new("expiry", "is to be longer than nothing").into());
                }
                (None, Some(IdleRow { after, used: now.micros() }))
            }
        };
        Ok(Attributes { expires, idle, ..before.clone() })
    }

    /// What these attributes say.
    pub(crate) fn of(attributes: &Attributes) -> Option<Self> {
        let at = attributes.expires.map(|at| Self::At(Timestamp::from_micros(at)));
        at.or_else(|| attributes.idle.map(|idle| Self::Unused(Duration::from_micros(idle.after))))
    }
}

/// When a branch with these attributes is due to go, in microseconds since the epoch; `None` if it does not, or is gone.
pub(crate) fn due(attributes: &Attributes) -> Option<i64> {
    let idle = attributes.idle.map(|idle| idle.used.saturating_add_unsigned(idle.after));
    let first = attributes.expires.into_iter().chain(idle).min();
    first.filter(|_| attributes.deleted.is_none())
}

/// When something is decided of a branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The time that is recorded, which is never earlier than that of an earlier commit.
    pub(crate) now: Timestamp,
    /// The clock of the machine, which may have been wrong when those were recorded.
    pub(crate) wall: Timestamp,
    /// When the branch was used last, in microseconds since the epoch, as far as its row does not say.
    pub(crate) used: i64,
}

/// These attributes of a branch at this moment: it is gone if it is due.
pub(crate) fn lapsed(before: &Attributes, moment: &Moment) -> Attributes {
    let wall = moment.wall.micros();
    let idle = before.idle.map(|idle| IdleRow { used: idle.used.max(moment.used.min(wall)), ..idle });
    let after = Attributes { idle, ..before.clone() };
    match due(&after) {
        Some(due) if due <= wall => Attributes { deleted: Some(moment.now.micros()), ..after },
        _ => after,
    }
}

/// Whether it was used so much later than its row says that this is to be written: a crash forgets no more than that.
pub(crate) fn is_stale(row: IdleRow, used: i64) -> bool {
    used.saturating_sub(row.used).unsigned_abs() > row.after / STALE_PART && used > row.used
}

/// The part of its span by which the row of a branch may lag behind.
const STALE_PART: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn idle(after: u64, used: i64) -> Attributes {
        Attributes { idle: Some(IdleRow { after, used }), ..Attributes::default() }
    }

    #[test]
    fn an_expiry_takes_the_place_of_the_one_before() {
        let at = Expiry::At(Timestamp::from_micros(1_001));
        let set = Expiry::put(Some(at), &idle(5, 0), NOW).unwrap();
        assert_eq!((Expiry::of(&set), due(&set)), (Some(at), Some(1_001)));
        let unused = Expiry::Unused(Duration::from_micros(7));
        let set = Expiry::put(Some(unused), &set, NOW).unwrap();
        assert_eq!((Expiry::of(&set), due(&set)), (Some(unused), Some(1_007)));
        let set = Expiry::put(None, &set, NOW).unwrap();
        assert_eq!((Expiry::of(&set), due(&set)), (None, None));
        let endless = Expiry::put(Some(Expiry::Unused(Duration::MAX)), &set, NOW).unwrap();
        assert_eq!(due(&endless), Some(i64::MAX));
        for wrong in [Expiry::At(NOW), Expiry::At(Timestamp::from_micros(-1)), Expiry::Unused(Duration::ZERO)]
        {
            assert!(Expiry::put(Some(wrong), &set, NOW).is_err());
        }
    }

    #[test]
    fn what_was_used_lapses_later_and_a_use_of_the_future_counts_as_one_of_now() {
        // What was recorded while a clock was wrong makes nobody older.
        let now = Timestamp::from_micros(9_000);
        let lapsed = |before: &Attributes, used| lapsed(before, &Moment { now, wall: NOW, used });
        assert_eq!(lapsed(&idle(5, 995), 0).deleted, Some(9_000));
        assert_eq!(lapsed(&idle(5, 996), 0), idle(5, 996));
        assert_eq!(lapsed(&idle(5, 0), 998), idle(5, 998));
        assert_eq!(lapsed(&idle(5, 0), i64::MAX), idle(5, 1_000));
        assert_eq!(due(&lapsed(&idle(5, 0), 0)), None);
        assert_eq!(lapsed(&Attributes::default(), 0), Attributes::default());
    }

    #[test]
    fn a_use_is_written_once_it_is_an_eighth_later() {
        let row = IdleRow { after: 80, used: 100 };
        let stale = [90, 100, 110, 111].map(|used| is_stale(row, used));
        assert_eq!(stale, [false, false, false, true]);
    }
}
