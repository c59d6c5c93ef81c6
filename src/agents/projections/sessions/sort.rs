//! What sessions are sorted by.

use std::fmt;
use std::str::FromStr;

use crate::event::Invalid;

/// What a listing of sessions is sorted by. Those of the same rank come in the order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionSort {
    /// Those in which something happened last come first.
    #[default]
    Last,
    /// Those that used the most tokens come first.
    Tokens,
    /// Those that cost most come first.
    Cost,
    /// Those with the most events come first.
    Events,
    /// Those with the most errors come first.
    Errors,
    /// The oldest come first.
    Age,
    /// By name.
    Name,
}

impl SessionSort {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Last, Self::Tokens, Self::Cost, Self::Events, Self::Errors, Self::Age, Self::Name];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Events => "events",
            Self::Errors => "errors",
            Self::Age => "age",
            Self::Name => "name",
        }
    }
}

impl fmt::Display for SessionSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SessionSort {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Invalid::new("sort", format!("`{}` is not one of {names}", text.escape_debug()))
        })
    }
}
