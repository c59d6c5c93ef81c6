use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::event::{Invalid, check_name};

/// The kind of reader that a dead letter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OwnerKind {
    /// A durable consumer.
    Consumer,
    /// A handler of a bus.
    Handler,
}

impl OwnerKind {
    const ALL: [Self; 2] = [Self::Consumer, Self::Handler];

    /// Its name, before the colon of an [`Owner`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Handler => "handler",
        }
    }

    /// Its byte in the keys of dead letters.
    fn number(self) -> u8 {
        match self {
            Self::Consumer => 0,
            Self::Handler => 1,
        }
    }
}

/// The owner of a dead letter: a durable consumer or a handler, by name. Printed as `consumer:NAME` or
/// `handler:NAME`; when parsed, a name alone is a consumer's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    kind: OwnerKind,
    name: Arc<str>,
}

impl Owner {
    /// An owner of this kind.
    ///
    /// # Errors
    /// [`Invalid`] unless the name is 1 to 255 bytes without control characters and without `/ @ * ?`, and neither
    /// `.` nor `..`.
    pub fn new(kind: OwnerKind, name: impl AsRef<str>) -> Result<Self, Invalid> {
        check_name(kind.as_str(), name.as_ref())?;
        Ok(Self { kind, name: name.as_ref().into() })
    }

    /// The consumer of this name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn consumer(name: impl AsRef<str>) -> Result<Self, Invalid> {
        Self::new(OwnerKind::Consumer, name)
    }

    /// The handler of this name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn handler(name: impl AsRef<str>) -> Result<Self, Invalid> {
        Self::new(OwnerKind::Handler, name)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> OwnerKind {
        self.kind
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The owner in the keys of its dead letters: names hold no zero, so no owner is a prefix of another.
    pub(super) fn key(&self) -> Vec<u8> {
        [&[self.kind.number()], self.name.as_bytes(), &[0]].concat()
    }

    /// Reads [`key`](Self::key), up to its zero.
    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let (number, name) = key.split_first()?;
        let kind = OwnerKind::ALL.into_iter().find(|kind| kind.number() == *number)?;
        Self::new(kind, std::str::from_utf8(name).ok()?).ok()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for Owner {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        let known = OwnerKind::ALL.into_iter().find_map(|kind| {
            let name = s.strip_prefix(kind.as_str())?.strip_prefix(':')?;
            Some((kind, name))
        });
        let (kind, name) = known.unwrap_or((OwnerKind::Consumer, s));
        Self::new(kind, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_printed_parsed_and_read_from_its_key() {
        for text in ["consumer:mailer", "handler:log", "handler:consumer:x", "consumer:日本"] {
            let owner: Owner = text.parse().unwrap();
            assert_eq!(owner.to_string(), text);
            let key = owner.key();
            assert_eq!(Owner::from_key(&key[..key.len() - 1]), Some(owner));
        }
        assert_eq!("mailer".parse::<Owner>().unwrap(), Owner::consumer("mailer").unwrap());
        assert_eq!("a:b".parse::<Owner>().unwrap().name(), "a:b");
        for text in ["", "consumer:", "a/b", "handler:*", "."] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
        assert_eq!(Owner::from_key(&[7, b'a']), None);
    }
}
