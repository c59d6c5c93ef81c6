//! The record of the current branch of a session: its name, and, if there were any, how many branches had that before it.

use crate::event::{BranchName, Place, SessionId};

/// Under the name of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRow {
    /// The branch.
    pub place: Place,
    /// How many branches had its name before it.
    pub before: u32,
}

impl CurrentRow {
    /// The key and the value.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut value = self.place.branch.as_str().as_bytes().to_vec();
        if self.before > 0 {
            value.push(0);
            value.extend_from_slice(&self.before.to_be_bytes());
        }
        (self.place.session.as_str().as_bytes().to_vec(), value)
    }

    /// `None` when it does not name a session and a branch.
    #[must_use]
    pub fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (name, before) = match value.iter().position(|byte| *byte == 0) {
            Some(at) => (value.get(..at)?, u32::from_be_bytes(value.get(at + 1..)?.try_into().ok()?)),
            None => (value, 0),
        };
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let (session, branch) = (SessionId::new(text(key)?).ok()?, BranchName::new(text(name)?).ok()?);
        Some(Self { place: Place::new(session, branch), before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_the_first_of_a_name_is_its_name_alone() {
        for before in [0, 1, u32::MAX] {
            let place = Place::new(SessionId::new("s").unwrap(), BranchName::new("b").unwrap());
            let row = CurrentRow { place, before };
            let (key, value) = row.encode();
            assert_eq!(CurrentRow::decode(&key, &value), Some(row));
            assert_eq!(value == b"b", before == 0);
        }
        for value in [&b""[..], b"\0\0\0\0\x01", b"b\0", b"b\0\0\0\0\0\0", b"\xff"] {
            assert_eq!(CurrentRow::decode(b"s", value), None);
        }
    }
}
