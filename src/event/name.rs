use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use super::Invalid;
use crate::limits::MAX_NAME_BYTES;

/// The first branch of every session.
pub const MAIN: &str = "main";

/// The branch of the labels of a session and the notes on it.
pub(crate) const ANNOTATIONS: &str = "annotations";

/// Checks that a text is a valid name of a session, branch, consumer or handler.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new(field, "is empty"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Invalid::new(field, format!("has {} bytes; the limit is {MAX_NAME_BYTES}", name.len())));
    }
    if name == "." || name == ".." {
        return Err(Invalid::new(field, format!("cannot be `{name}`")));
    }
    match name.chars().find(|c| c.is_control() || matches!(c, '/' | '@' | '*' | '?')) {
        Some(c) => Err(Invalid::new(
            field,
            format!("`{}` contains {c:?}, which is not allowed in names", name.escape_debug()),
        )),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// [`Invalid`] unless it is 1 to 255 bytes without control characters and without `/ @ * ?`,
            /// and not `.` or `..`.
            pub fn new(name: impl AsRef<str>) -> Result<Self, Invalid> {
                check_name($field, name.as_ref())?;
                Ok(Self(name.as_ref().into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(s: &str) -> Result<Self, Invalid> {
                Self::new(s)
            }
        }

        impl From<&Self> for $name {
            fn from(name: &Self) -> Self {
                name.clone()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Invalid;
            fn try_from(s: &str) -> Result<Self, Invalid> {
                Self::new(s)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(s: String) -> Result<Self, Invalid> {
                Self::new(s)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// The name of a session: one run of an agent or a job.
    SessionId,
    "session"
);
name_type!(
    /// The name of a branch: one line of events in a session.
    BranchName,
    "branch"
);

impl BranchName {
    /// The branch that every session starts with.
    #[must_use]
    pub fn main() -> Self {
        Self(MAIN.into())
    }
}

/// A branch of a session, by name. All events of a branch share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The session.
    pub session: SessionId,
    /// The branch.
    pub branch: BranchName,
}

impl Place {
    /// Both names together.
    #[must_use]
    pub fn new(session: SessionId, branch: BranchName) -> Self {
        Self { session, branch }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.branch)
    }
}

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first event.
            pub const ZERO: Self = Self(0);
            /// Later than any event.
            pub const MAX: Self = Self(u64::MAX);

            /// Wraps a number.
            #[must_use]
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The next number, saturating.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The previous number, saturating at zero.
            #[must_use]
            pub const fn prev(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// The number of an event; `None` for zero.
            #[must_use]
            pub const fn some(self) -> Option<NonZeroU64> {
                NonZeroU64::new(self.0)
            }
        }

        impl From<u64> for $name {
            fn from(n: u64) -> Self {
                Self(n)
            }
        }

        impl From<$name> for u64 {
            fn from(n: $name) -> Self {
                n.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_type!(
    /// The number of an event in its branch: 1, 2, 3 … without gaps. 0 is "before the first".
    Sequence
);
number_type!(
    /// The position of an event in the whole store: strictly increasing across all sessions, never reused.
    Position
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_an_address_or_a_path_would_misread() {
        for bad in ["", ".", "..", "a/b", "a@1", "a*", "a?", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert!(SessionId::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["a", "run 7", "日本", "…", "a.b-c_d:e", &"x".repeat(255)] {
            assert_eq!(SessionId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn the_reason_names_the_character() {
        let e = BranchName::new("try/1").unwrap_err();
        assert_eq!(e.to_string(), "branch `try/1` contains '/', which is not allowed in names");
    }
}
