//! What an application makes of its sidecar records in one commit.

use crate::engine::{SidecarTable, SidecarWrites};
use crate::event::Invalid;
use crate::limits::{
    MAX_SIDECAR_CHANGES, MAX_SIDECAR_KEY_BYTES, MAX_SIDECAR_NAMESPACE_BYTES, MAX_SIDECAR_VALUE_BYTES,
};

/// Changes to the records of one namespace, made in one commit with events ([`Batch::sidecar`](crate::Batch::sidecar)) or alone
/// ([`Sidecar::write`](crate::store::sidecar::Sidecar::write)). The last word on a key counts.
#[derive(Clone, Debug)]
#[must_use]
pub struct SidecarChanges {
    namespace: Box<str>,
    writes: SidecarWrites,
    changes: usize,
    wrong: Option<Invalid>,
}

impl SidecarChanges {
    /// None yet, in this namespace: 1 to 64 bytes of `a-z`, `0-9`, `-` and `.`.
    ///
    /// # Errors
    /// [`Invalid`] for a name that is none.
    pub fn new(namespace: &str) -> Result<Self, Invalid> {
        Ok(Self::of(checked(namespace)?.into()))
    }

    /// The same of a name that was checked.
    pub(crate) fn of(namespace: Box<str>) -> Self {
        Self { namespace, writes: SidecarWrites::new(), changes: 0, wrong: None }
    }

    /// The commit happens only while this record is what was read of it: `None` when it was not there. One that comes too late is
    /// refused as [`Error::RecordChanged`](crate::Error::RecordChanged).
    ///
    /// A commit that is sent again after an [`Error::Unknown`](crate::Error::Unknown) is recognised by what it wrote, so values that two
    /// writers may write under the same expectation have to differ: let them have an id of whoever writes.
    pub fn expect(mut self, key: impl AsRef<[u8]>, value: Option<Vec<u8>>) -> Self {
        let size = value.as_ref().map_or(0, Vec::len);
        if let Some(key) = self.took(key.as_ref(), size) {
            self.writes.expect(SidecarTable::Applications, key, value);
        }
        self
    }

    /// Writes a record.
    pub fn put(mut self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Self {
        let value = value.into();
        if let Some(key) = self.took(key.as_ref(), value.len()) {
            self.writes.put(SidecarTable::Applications, key, value);
        }
        self
    }

    /// Removes a record.
    pub fn remove(mut self, key: impl AsRef<[u8]>) -> Self {
        if let Some(key) = self.took(key.as_ref(), 0) {
            self.writes.remove(SidecarTable::Applications, key);
        }
        self
    }

    /// The key in the table, unless there is something against it.
    fn took(&mut self, key: &[u8], size: usize) -> Option<Vec<u8>> {
        self.changes += 1;
        if self.changes > MAX_SIDECAR_CHANGES {
            let reason = format!("are more than {MAX_SIDECAR_CHANGES} in one commit");
            self.wrong.get_or_insert(Invalid::new("records", reason));
        }
        if let Err(wrong) = checked_key(key).and_then(|()| checked_size(size)) {
            self.wrong.get_or_insert(wrong);
        }
        self.wrong.is_none().then(|| table_key(&self.namespace, key))
    }

    /// What is written.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn checked(self) -> Result<SidecarWrites, Invalid> {
        self.wrong.map_or(Ok(self.writes), Err)
    }
}

fn checked_key(key: &[u8]) -> Result<(), Invalid> {
    if key.len() <= MAX_SIDECAR_KEY_BYTES {
        return Ok(());
    }
    let reason = format!("has {} bytes; the limit is {MAX_SIDECAR_KEY_BYTES}", key.len());
    Err(Invalid::new("key", reason))
}

fn checked_size(size: usize) -> Result<(), Invalid> {
    if size <= MAX_SIDECAR_VALUE_BYTES {
        return Ok(());
    }
    Err(Invalid::new("record", format!("has {size} bytes; the limit is {MAX_SIDECAR_VALUE_BYTES}")))
}

/// The name of a namespace.
pub(crate) fn checked(namespace: &str) -> Result<&str, Invalid> {
    let is_named = (1..=MAX_SIDECAR_NAMESPACE_BYTES).contains(&namespace.len());
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    match is_named && namespace.bytes().all(is_plain) {
        true => Ok(namespace),
        false => Err(Invalid::new("namespace", "is to be 1 to 64 characters of `a-z`, `0-9`, `-` and `.`")),
    }
}

/// A key of a namespace in the table: no namespace has a zero byte.
pub(crate) fn table_key(namespace: &str, key: &[u8]) -> Vec<u8> {
    [namespace.as_bytes(), &[0], key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_too_much_is_refused_as_a_whole() {
        for name in ["", "A", "a/b", "a b", "a\0", "ä", &"a".repeat(65)] {
            assert!(SidecarChanges::new(name).is_err(), "{name:?}");
        }
        let new = || SidecarChanges::new("a-1.b").unwrap();
        let field =
            |changes: SidecarChanges| changes.checked().map(|of| of.len()).map_err(|wrong| wrong.field);
        assert_eq!(field(new().put([0_u8; MAX_SIDECAR_KEY_BYTES], [0_u8; MAX_SIDECAR_VALUE_BYTES])), Ok(1));
        assert_eq!(field(new().remove([0_u8; MAX_SIDECAR_KEY_BYTES + 1]).put("a", "b")), Err("key"));
        assert_eq!(field(new().put("a", [0_u8; MAX_SIDECAR_VALUE_BYTES + 1])), Err("record"));
        let many = (0..MAX_SIDECAR_CHANGES).fold(new(), |all, n| all.put(n.to_be_bytes(), "a"));
        assert_eq!(field(many.clone()), Ok(MAX_SIDECAR_CHANGES));
        assert_eq!(field(many.expect("a", None)), Err("records"));
    }
}
