//! The key of a branch in the index of names, as redb writes it.

use crate::event::{BranchName, Place, SessionId};

/// A length, then the session, then the branch.
pub(super) fn place_of_key(key: &[u8]) -> Option<Place> {
    let (len, rest) = match *key {
        [254, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [255, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        [len, ref rest @ ..] => (usize::from(len), rest),
        [] => return None,
    };
    let (session, branch) = rest.split_at_checked(len)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some(Place::new(SessionId::new(text(session)?).ok()?, BranchName::new(text(branch)?).ok()?))
}

#[cfg(test)]
mod tests {
    use redb::Value;

    use super::*;

    #[test]
    fn a_key_is_read_as_redb_writes_it() {
        for session in ["s".to_owned(), "s".repeat(200), "é".repeat(127), "x".repeat(255)] {
            let key = <(&str, &str)>::as_bytes(&(session.as_str(), "main"));
            let place = place_of_key(key.as_ref()).unwrap();
            assert_eq!((place.session.as_str(), place.branch.as_str()), (session.as_str(), "main"));
        }
        assert_eq!(place_of_key(b""), None);
        assert_eq!(place_of_key(b"\x09abc"), None);
    }
}
