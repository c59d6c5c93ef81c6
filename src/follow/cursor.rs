use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use crate::codec::CursorParts;
use crate::error::{Error, Result};
use crate::event::StoreId;

/// The place of a reader, from which it can resume later, in another process or another front end. Opaque: print it,
/// store it, parse it.
/// It is
/// tied to its store and, for a reader of one branch, to that branch: anywhere else it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(CursorParts);

impl Cursor {
    pub(super) fn new(store: StoreId, branch: Option<u64>, scanned: u64, mark: Option<u64>) -> Self {
        Self(CursorParts { store: *store.bytes(), branch, scanned, mark })
    }

    /// The [mark](crate::codec::event_mark) of the event at what was scanned; `None` in cursors of earlier releases, and where there was
    /// no event.
    pub(super) fn mark(&self) -> Option<u64> {
        self.0.mark
    }

    pub(super) fn branch(&self) -> Option<u64> {
        self.0.branch
    }

    pub(super) fn scanned(&self) -> u64 {
        self.0.scanned
    }

    pub(super) fn check_store(&self, store: StoreId) -> Result<()> {
        if self.0.store == *store.bytes() {
            return Ok(());
        }
        let reason = format!("it belongs to store {}; this is {store}", StoreId::from_bytes(self.0.store));
        Err(Error::BadCursor { reason })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64URL_NOPAD.encode(&self.0.encode()))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let not_one =
            |_| Error::BadCursor { reason: "it is not a cursor of retold, or is incomplete".into() };
        let bytes = BASE64URL_NOPAD.decode(s.as_bytes()).map_err(not_one)?;
        CursorParts::decode(&bytes)
            .map(Self)
            .map_err(|e| Error::BadCursor { reason: format!("it is damaged: {e}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn printing_and_parsing_agree(branch: Option<u64>, scanned: u64, mark: Option<u64>) {
            let cursor = Cursor::new(StoreId::new(), branch, scanned, mark);
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn other_text_is_refused(s in "\\PC{0,80}") {
            prop_assert!(s.parse::<Cursor>().is_err());
        }

        #[test]
        fn a_changed_character_is_noticed(at in 0usize..40, to in "[A-Za-z0-9_-]") {
            let good = Cursor::new(StoreId::new(), Some(3), 77, Some(5)).to_string();
            let at = at % good.len();
            let mut bad = good.clone();
            bad.replace_range(at..=at, &to);
            prop_assume!(bad != good);
            prop_assert!(bad.parse::<Cursor>().is_err());
        }
    }
}
