//! What is read or followed: a branch, a session with all its branches, or everything.

use std::fmt;

use retold::event::{Address, Event, SessionId};
use retold::store::names;
use retold::{Error, Follow, Query, Store};

use crate::access::Access;
use crate::problem::Problem;
use crate::tokens::{Scope, Token};

/// Events in one order. Those of a branch are counted by sequences, all others by positions of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// A branch, what it inherits too.
    Branch(Address),
    /// All branches of a session, in global order.
    Session(SessionId),
    /// Everything, in global order.
    All,
}

impl Feed {
    /// The token may read it, or some of it.
    pub(super) fn allowed(&self, access: &Access) -> Result<(), Problem> {
        match self {
            Self::Branch(address) => access.session(Scope::Read, address.session()),
            Self::Session(session) => access.session(Scope::Read, session),
            Self::All => access.somewhere(Scope::Read),
        }
    }

    /// Its numbers count events that the token may not read, so none may be told but those of events that it may.
    pub(super) fn is_narrow(&self, token: &Token) -> bool {
        !matches!(self, Self::Branch(_)) && !token.may_everywhere(Scope::Read)
    }

    /// It is there; an error if it is not. Blocks.
    pub(super) fn check(&self, store: &Store) -> Result<(), Error> {
        match self {
            Self::Branch(address) => store.branch(address).map(drop),
            // A session may have many branches: one is enough.
            Self::Session(session) if names::branches(store, session, None, 1)?.names.is_empty() => {
                store.branches(session).map(drop)
            }
            Self::Session(_) | Self::All => Ok(()),
        }
    }

    /// The last of its numbers. Blocks.
    pub(super) fn last(&self, store: &Store) -> Result<u64, Error> {
        match self {
            Self::Branch(address) => Ok(store.head(address)?.get()),
            Self::Session(_) | Self::All => Ok(store.committed().get()),
        }
    }

    /// To read it.
    pub(super) fn query(&self) -> Result<Query, Error> {
        match self {
            Self::Branch(address) => Query::branch(address),
            Self::Session(session) => Query::session(session.clone()),
            Self::All => Ok(Query::all()),
        }
    }

    /// To follow it.
    pub(super) fn follow(&self) -> Result<Follow, Error> {
        match self {
            Self::Branch(address) => Follow::branch(address),
            Self::Session(session) => Follow::session(session.clone()),
            Self::All => Ok(Follow::all()),
        }
    }

    /// The number of an event in it.
    pub(super) fn number(&self, event: &Event) -> u64 {
        match self {
            Self::Branch(_) => event.sequence().get(),
            Self::Session(_) | Self::All => event.position().get(),
        }
    }

    /// What is told of an error when some of the feed may not be read: nothing of that.
    pub(super) fn problem(&self, error: Error, access: &Access) -> Problem {
        if !self.is_narrow(access.token()) {
            return error.into();
        }
        match error {
            Error::BadCursor { .. } | Error::Diverged { .. } => {
                bad_cursor("it is not a cursor of this stream, or the store was restored since")
            }
            Error::Corrupt { .. } | Error::Deleted { .. } | Error::Truncated { .. } => {
                let detail =
                    "an event of this stream can't be read; who looks after the store can find out why";
                Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "damaged", detail)
            }
            other => other.into(),
        }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(address) => write!(f, "branch {address}"),
            Self::Session(session) => write!(f, "session {session}"),
            Self::All => f.write_str("everything"),
        }
    }
}

/// A cursor that can't be used here.
pub(super) fn bad_cursor(reason: &str) -> Problem {
    let detail = format!("the cursor cannot be used: {reason}; leave it out to start again");
    Problem::new(axum::http::StatusCode::BAD_REQUEST, "bad-cursor", detail)
}
