//! Where a listing of sessions goes on.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::sort::SessionSort;
use crate::event::{Invalid, SessionId};

/// The place of a session in a listing: its rank when it was listed, and its name. A listing that goes on after it neither repeats
/// nor skips other sessions, whatever becomes of this one. Opaque: print it, store it, parse it.
///
/// The name of a session alone is one too: the place that the session has when the listing goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionMark {
    sort: SessionSort,
    rank: f64,
    session: SessionId,
}

impl SessionMark {
    pub(super) fn new(sort: SessionSort, rank: f64, session: SessionId) -> Self {
        Self { sort, rank, session }
    }

    pub(super) fn sort(&self) -> SessionSort {
        self.sort
    }

    /// Whose place it is.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// In the order of a listing that is not reversed.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank).then_with(|| self.session.as_str().cmp(other.session.as_str()))
    }
}

impl From<SessionId> for SessionMark {
    fn from(session: SessionId) -> Self {
        Self::new(SessionSort::Name, 0.0, session)
    }
}

impl fmt::Display for SessionMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sort {
            SessionSort::Name => f.pad(self.session.as_str()),
            sort => f.pad(&format!("{}@{sort}:{:016x}", self.session, self.rank.to_bits())),
        }
    }
}

impl FromStr for SessionMark {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // No name has an `@`.
        let Some((session, rest)) = text.split_once('@') else { return Ok(SessionId::new(text)?.into()) };
        let place = || {
            let (sort, rank) = rest.split_once(':')?;
            let rank = f64::from_bits(u64::from_str_radix(rank, 16).ok()?);
            let mark = Self::new(sort.parse().ok()?, rank, SessionId::new(session).ok()?);
            (mark.to_string() == text).then_some(mark)
        };
        place().ok_or_else(|| {
            Invalid::new("after", "is neither the name of a session nor the mark of a page before")
        })
    }
}
