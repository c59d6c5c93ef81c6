use std::fmt;
use std::str::FromStr;

use super::{EventId, Invalid};
use crate::limits::MIN_ID_PREFIX;

/// Where a UUID has its hyphens, in digits.
const HYPHENS: [usize; 4] = [8, 12, 16, 20];
const DIGITS: usize = 32;

/// The beginning of an event's id: at least 8 hexadecimal digits of it, with the hyphens of a UUID or without.
///
/// The ids that [`EventId::new`] makes begin with their time: 8 digits name an interval of 65 seconds, 12 a millisecond. Events
/// that were recorded one after the other are told apart by more of them.
///
/// ```
/// use retold::event::finding::IdPrefix;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let event = NewEvent::new("run.started");
/// let id = event.id();
/// store.append("run-7", event)?;
/// let prefix: IdPrefix = id.to_string()[..13].parse()?;
/// assert_eq!(store.ids(&prefix, 5)?, [id]);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdPrefix {
    from: EventId,
    digits: usize,
}

impl IdPrefix {
    /// Parses the beginning of an id.
    ///
    /// # Errors
    /// [`Invalid`] with the field `id` for fewer than 8 digits, for what is no hexadecimal digit, and for a hyphen where a
    /// UUID has none.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Err(Invalid::new("id", format!("`{}` {why}", text.escape_debug())));
        let (mut bits, mut digits, mut hyphens) = (0u128, 0usize, 0usize);
        for c in text.chars() {
            match c.to_digit(16) {
                Some(_) if digits == DIGITS => return bad("is longer than a UUID"),
                // One that leaves out a hyphen has none.
                Some(_) if hyphens > 0 && hyphens < HYPHENS.iter().filter(|at| **at <= digits).count() => {
                    return bad("lacks a hyphen of a UUID");
                }
                Some(digit) => {
                    bits = (bits << 4) | u128::from(digit);
                    digits += 1;
                }
                None if c == '-' && HYPHENS.get(hyphens) == Some(&digits) => hyphens += 1,
                None => return bad("is not the beginning of a UUID"),
            }
        }
        if digits < MIN_ID_PREFIX {
            return bad(&format!("is too short: {MIN_ID_PREFIX} digits of an id are needed at least"));
        }
        let from = bits << (4 * (DIGITS - digits));
        Ok(Self { from: EventId::from_bytes(from.to_be_bytes()), digits })
    }

    /// Whether an id begins so.
    #[must_use]
    pub fn matches(&self, id: EventId) -> bool {
        (self.first()..=self.last()).contains(&id)
    }

    /// The least id that begins so.
    pub(crate) fn first(&self) -> EventId {
        self.from
    }

    /// The greatest id that begins so.
    pub(crate) fn last(&self) -> EventId {
        let open = u128::MAX.checked_shr(4 * self.digits as u32).unwrap_or_default();
        EventId::from_bytes((u128::from_be_bytes(*self.from.bytes()) | open).to_be_bytes())
    }
}

impl FromStr for IdPrefix {
    type Err = Invalid;
    fn from_str(s: &str) -> Result<Self, Invalid> {
        Self::new(s)
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.from.to_string();
        let hyphens = HYPHENS.iter().filter(|at| **at < self.digits).count();
        f.write_str(whole.get(..self.digits + hyphens).unwrap_or(&whole))
    }
}

impl fmt::Debug for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_beginning_of_a_uuid_is_refused() {
        for bad in [
            "",
            "0190abc",
            "0190abcg",
            "0190-abcd",
            "0190abcd--",
            "0190abcd-12345",
            "-0190abcd",
            "0190abcd-1234-5678-9abc-def0123456789",
            "0190abcd12345678-9abc",
            "é190abcd",
        ] {
            assert!(IdPrefix::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["0190abcd", "0190ABCD", "0190abcd-", "0190abcd1", "0190abcd-1234-5"] {
            assert!(IdPrefix::new(good).is_ok(), "{good:?} was refused");
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_begins_so_and_nothing_else(
            bits: [u8; 16], other: [u8; 16], shared in 0usize..=16, len in 8usize..=32, hyphens: bool,
        ) {
            let id = EventId::from_bytes(bits);
            let mut near = other;
            near[..shared].copy_from_slice(&bits[..shared]);
            let near = EventId::from_bytes(near);
            let plain = |id: EventId| id.uuid().simple().to_string();
            let cut = plain(id)[..len].to_owned();
            let text = match hyphens {
                false => cut.clone(),
                true => id.to_string()[..len + HYPHENS.iter().filter(|at| **at < len).count()].to_owned(),
            };
            let prefix = IdPrefix::new(&text).unwrap();
            prop_assert!(prefix.matches(id));
            prop_assert_eq!(prefix.matches(near), plain(near).starts_with(&cut));
            prop_assert_eq!(IdPrefix::new(&prefix.to_string()).unwrap(), prefix);
        }
    }
}
