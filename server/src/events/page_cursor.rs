//! Where a page ends: a number, sealed, that is good for one question to one store only.
//!
//! A token of some sessions pages through events of others without being told of them. So its cursors can't be read, and
//! are good as long as the server runs; those of other tokens outlive it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use retold::{EventId, StoreId};
use sha2::{Digest, Sha256};

use super::feed::{Feed, bad_cursor};
use crate::problem::Problem;
use crate::tokens::Token;

/// Seals cursors for one question.
#[derive(Clone, Debug)]
pub(super) struct PageCursors {
    key: Sha256,
}

impl PageCursors {
    /// For the question that this token asks.
    pub(super) fn of(store: StoreId, feed: &Feed, question: &str, token: &Token) -> Self {
        let sessions = token.sessions.as_ref().map(retold::event::NamePattern::as_str);
        let secret: &[u8] = if feed.is_narrow(token) { secret() } else { b"retold page" };
        let mut key = Sha256::new_with_prefix(secret);
        key.update(store.uuid().as_bytes());
        for part in [&feed.to_string(), sessions.unwrap_or_default(), question] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        Self { key }
    }

    /// The cursor that goes on at this number.
    pub(super) fn seal(&self, number: u64) -> String {
        let tag = self.hash(b"tag", number);
        format!("{tag:016x}{:016x}", number ^ self.hash(b"pad", tag))
    }

    /// The number at which a cursor goes on.
    pub(super) fn open(&self, cursor: &str) -> Result<u64, Problem> {
        self.opened(cursor).ok_or_else(|| {
            bad_cursor("it is of another store or another question, or the server was restarted since")
        })
    }

    fn opened(&self, cursor: &str) -> Option<u64> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if cursor.len() != 32 || !cursor.bytes().all(is_digit) {
            return None;
        }
        let (tag, sealed) = cursor.split_at_checked(16)?;
        let tag = u64::from_str_radix(tag, 16).ok()?;
        let number = u64::from_str_radix(sealed, 16).ok()? ^ self.hash(b"pad", tag);
        (self.hash(b"tag", number) == tag).then_some(number)
    }

    fn hash(&self, what: &[u8], number: u64) -> u64 {
        let hash = self.key.clone().chain_update(what).chain_update(number.to_be_bytes()).finalize();
        hash.iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte))
    }
}

/// Known to this process only.
fn secret() -> &'static [u8] {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    SECRET.get_or_init(|| {
        let mut hash = Sha256::new();
        for _ in 0..4 {
            hash.update(EventId::new().uuid().as_bytes());
            hash.update(RandomState::new().hash_one(0).to_be_bytes());
        }
        hash.finalize().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(store: StoreId, question: &str, sessions: Option<&str>) -> PageCursors {
        let mut token = Token::local();
        token.sessions = sessions.map(|of| retold::event::NamePattern::new(of).unwrap());
        PageCursors::of(store, &Feed::All, question, &token)
    }

    #[test]
    fn a_cursor_is_good_for_its_question_only() {
        let store = StoreId::new();
        for sessions in [None, Some("a-*")] {
            let cursor = cursors(store, "type=a", sessions).seal(77);
            assert_eq!(cursors(store, "type=a", sessions).open(&cursor).unwrap(), 77);
            for other in [
                cursors(StoreId::new(), "type=a", sessions),
                cursors(store, "type=b", sessions),
                cursors(store, "type=a", Some("b-*")),
            ] {
                assert_eq!(other.open(&cursor).unwrap_err().name(), "bad-cursor");
            }
        }
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let cursors = cursors(StoreId::new(), "", Some("a"));
        let good = cursors.seal(1);
        for at in 0..good.len() {
            let mut bad = good.clone();
            let other = if bad.as_bytes()[at] == b'0' { "1" } else { "0" };
            bad.replace_range(at..=at, other);
            assert!(cursors.open(&bad).is_err(), "{bad}");
        }
        for bad in ["", "é", "00000000000000é0000000000000000", &good.to_uppercase(), &format!("{good}0")] {
            assert!(bad == good || cursors.open(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn near_numbers_do_not_look_alike_to_whoever_may_not_read_them() {
        let cursors = cursors(StoreId::new(), "", Some("a"));
        let halves = |number| cursors.seal(number).split_at(16).1.to_owned();
        assert_ne!(halves(1), halves(2));
        assert_ne!(
            u64::from_str_radix(&halves(1), 16).unwrap() ^ u64::from_str_radix(&halves(2), 16).unwrap(),
            3
        );
    }
}
