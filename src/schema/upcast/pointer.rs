use std::fmt;

use crate::event::{pointer_part, pointer_parts};
use crate::limits::{MAX_POINTER_BYTES, MAX_POINTER_PARTS};

/// A place in a payload, as RFC 6901 writes it: `/usage/tokens`, `""` for the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_POINTER_BYTES {
            return Err(format!("a pointer has {} bytes; the limit is {MAX_POINTER_BYTES}", text.len()));
        }
        let parts = pointer_parts(text).map_err(|why| format!("`{}` {why}", text.escape_debug()))?;
        if parts.len() > MAX_POINTER_PARTS {
            return Err(format!("a pointer has {} parts; the limit is {MAX_POINTER_PARTS}", parts.len()));
        }
        Ok(Self(parts))
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }

    /// The parent and the name in it; `None` for the whole payload.
    pub(super) fn split(&self) -> Option<(&[String], &str)> {
        self.0.split_last().map(|(last, parents)| (parents, last.as_str()))
    }

    /// Its sibling with another name.
    pub(super) fn beside(&self, name: &str) -> Option<Self> {
        let (parents, _) = self.split()?;
        Some(Self(parents.iter().cloned().chain([name.to_owned()]).collect()))
    }

    /// Whether `other` is inside it, or the same place.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the whole payload");
        }
        self.0.iter().try_for_each(|part| write!(f, "/{}", pointer_part(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_as_rfc_6901_says() {
        assert_eq!(Pointer::parse("").unwrap().parts(), [""; 0]);
        assert_eq!(Pointer::parse("/a~1b/~0/").unwrap().parts(), ["a/b", "~", ""]);
        assert_eq!(Pointer::parse("/a~1b/~0").unwrap().to_string(), "/a~1b/~0");
        for bad in ["a", "/a~2", "/~", &"/a".repeat(33), &format!("/{}", "a".repeat(1_024))] {
            assert!(Pointer::parse(bad).is_err(), "{bad}");
        }
    }
}
