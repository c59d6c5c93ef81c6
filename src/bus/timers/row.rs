//! The rows of timers: under a key that sorts by the time at which they are due.
//!
//! | key | value |
//! |---|---|
//! | `a`, due, id | a timer for a time of the wall clock |
//! | `d`, due, id | a timer for after a while |
//! | `i`, id | the key of that timer's row |
//! | `x`, due, id | a timer whose event the store refused |
//!
//! `due` is microseconds since the epoch with the sign bit turned, big endian, so that keys sort by it; `id` is the
//! event's.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bus::line;
use crate::error::{Error, Result};
use crate::event::{EventId, NewEvent, Place, Timestamp};

/// Which clock a timer goes by, or that it has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    At,
    After,
    Refused,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::At, Self::After, Self::Refused];

    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::At => b"a",
            Self::After => b"d",
            Self::Refused => b"x",
        }
    }
}

const SIGN: u64 = 1 << 63;

pub(super) fn key(family: Family, due: i64, id: EventId) -> Vec<u8> {
    [family.prefix(), &(due.cast_unsigned() ^ SIGN).to_be_bytes(), id.bytes()].concat()
}

/// The last key of everything that is due at this time.
pub(super) fn last_key(family: Family, due: i64) -> Vec<u8> {
    [family.prefix(), &(due.cast_unsigned() ^ SIGN).to_be_bytes(), &[0xff; 16]].concat()
}

pub(super) fn index_key(id: EventId) -> Vec<u8> {
    [INDEX, id.bytes()].concat()
}

pub(super) const INDEX: &[u8] = b"i";

/// Family, due and id of a key.
pub(super) fn parse_key(key: &[u8]) -> Option<(Family, i64, EventId)> {
    let (prefix, rest) = key.split_at_checked(1)?;
    let family = Family::ALL.into_iter().find(|f| f.prefix() == prefix)?;
    let (due, id) = rest.split_first_chunk::<8>()?;
    let due = (u64::from_be_bytes(*due) ^ SIGN).cast_signed();
    Some((family, due, EventId::from_bytes(id.try_into().ok()?)))
}

/// No branch has this number.
pub(super) const NO_BRANCH: u64 = 0;

/// A timer as its row has it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) family: Family,
    pub(super) due: i64,
    pub(super) made: Timestamp,
    /// The number of the branch that it was made for; [`NO_BRANCH`] for a session that had not begun. Rows of before have none.
    pub(super) branch: Option<u64>,
    pub(super) place: Place,
    pub(super) event: NewEvent,
    pub(super) refused: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    made: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(borrow)]
    event: &'a RawValue,
}

impl Row {
    pub(super) fn key(&self) -> Vec<u8> {
        key(self.family, self.due, self.event.id)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let line = line::print(&self.place, &self.event)?;
        let failed = |e: serde_json::Error| Error::storage(format!("a timer cannot be written as JSON: {e}"));
        let event: &RawValue = serde_json::from_slice(&line).map_err(failed)?;
        let (made, branch, refused) = (self.made.micros(), self.branch, self.refused.clone());
        let wire = Wire { made, branch, refused, event };
        serde_json::to_vec(&wire).map_err(failed)
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Self> {
        let corrupt = |reason: String| Error::corrupt(format!("timer {}", key.escape_ascii()), reason);
        let (family, due, id) = parse_key(key).ok_or_else(|| corrupt("its key is none of a timer".into()))?;
        let wire: Wire<'_> =
            serde_json::from_slice(value).map_err(|e| corrupt(format!("it is not JSON: {e}")))?;
        let (place, event) = line::parse(wire.event.get().as_bytes()).map_err(|e| corrupt(e.to_string()))?;
        if event.id != id {
            return Err(corrupt(format!("it has the event {}", event.id)));
        }
        let made = Timestamp::from_micros(wire.made);
        Ok(Self { family, due, made, branch: wire.branch, place, event, refused: wire.refused })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testkit::strategies;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_row_comes_back_and_keys_sort_by_time(
            event in strategies::event(), place in strategies::place(), due: i64, other: i64, made: i64, at: bool,
            branch: Option<u64>,
        ) {
            let family = if at { Family::At } else { Family::After };
            let made = Timestamp::from_micros(made);
            let row = Row { family, due, made, branch, place, event, refused: (!at).then(|| "no".into()) };
            let (key, value) = (row.key(), row.encode().unwrap());
            let read = Row::decode(&key, &value).unwrap();
            prop_assert_eq!((read.due, read.made, &read.place, read.event.id), (due, made, &row.place, row.event.id));
            prop_assert_eq!(read.branch, branch);
            prop_assert_eq!(read.encode().unwrap(), value);
            let later = super::key(family, other, row.event.id);
            prop_assert_eq!(due.cmp(&other), key.cmp(&later));
            prop_assert!(key <= last_key(family, due) && (due >= other || last_key(family, due) < later));
        }

        #[test]
        fn any_bytes_are_a_row_or_an_error(key: Vec<u8>, value: Vec<u8>) {
            let _ = Row::decode(&key, &value);
        }
    }

    #[test]
    fn a_row_under_the_key_of_another_event_is_corrupt() {
        let (place, event) = ("s".parse::<crate::event::Address>().unwrap(), NewEvent::new("a.b"));
        let (place, refused) = (place.place().clone(), None);
        let (made, branch) = (Timestamp::from_micros(0), None);
        let row = Row { family: Family::At, due: 5, made, branch, place, event, refused };
        let value = row.encode().unwrap();
        // One without a branch is what earlier builds wrote.
        assert!(!String::from_utf8_lossy(&value).contains("\"branch\":null"));
        let Err(Error::Corrupt { .. }) = Row::decode(&key(Family::At, 5, EventId::new()), &value) else {
            panic!()
        };
        let Err(Error::Corrupt { .. }) = Row::decode(b"q", &value) else { panic!() };
    }
}
