//! Whose state is read, and as of when: a branch's, a session's or a key's.

use retold::error::{Error, Result as Done};
use retold::event::{Address, BranchName, Event, Filter, SessionId, Timestamp};
use retold::project::{History, Reading, Scope as StateScope};
use retold::store::{Query, Store};
use serde_json::Value;

use super::branches::shown;
use super::known::States;
use crate::access::Access;
use crate::input::invalid;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Whose state it is.
#[derive(Debug)]
pub(super) enum Of {
    Session(SessionId, Option<BranchName>, Option<u64>),
    Key(String),
}

impl Of {
    /// What a request names, once its token may read it; `None` when it names nothing.
    pub(super) fn asked(
        access: &Access,
        (session, branch, key): (Option<&str>, Option<&str>, Option<String>),
        sequence: Option<u64>,
    ) -> Result<Option<Self>, Problem> {
        match (session, branch, key) {
            (Some(session), branch, None) => {
                let session = SessionId::new(session)?;
                access.session(Scope::Read, &session)?;
                let branch = branch.map(BranchName::new).transpose()?;
                Ok(Some(Self::Session(session, branch, sequence)))
            }
            (None, None, Some(key)) => {
                access.everywhere(Scope::Read)?;
                match sequence {
                    None => Ok(Some(Self::Key(key))),
                    Some(_) => Err(invalid("sequence", "is one of a branch, and a key has none")),
                }
            }
            (None, None, None) if sequence.is_none() => Ok(None),
            (None, _, None) => Err(invalid("session", "is missing: name the session of the branch")),
            _ => Err(invalid("key", "can't be combined with a session: name one of them")),
        }
    }
}

pub(super) fn reading(
    store: &Store,
    states: &States,
    of: Of,
    time: Option<(Timestamp, bool)>,
) -> Result<Reading<Value>, Problem> {
    let of_branch = states.scope() == StateScope::Branch;
    Ok(match (of, time) {
        (_, Some((_, false))) if !of_branch => {
            return Err(invalid(
                "time",
                "is one of recording for states of sessions and keys: add recorded=true",
            ));
        }
        (Of::Key(key), time) if states.scope() == StateScope::Key => match time {
            None => states.read_of(&key)?,
            Some((time, _)) => states.state_of_at(&key, time)?,
        },
        (Of::Session(session, branch, sequence), time) if states.scope() != StateScope::Key => {
            let address = address(store, of_branch, session, branch, sequence)?;
            match time {
                None => states.read(address)?,
                Some((time, true)) => states.state_at(address, time)?,
                Some((time, false)) => {
                    let last = last_by(store, &address, time)?;
                    let none = || {
                        Error::not_found("event", format!("of {address} that happened at or before {time}"))
                    };
                    let last = last.ok_or_else(none)?;
                    states.read(Address::from(address.place().clone()).at(last.sequence()))?
                }
            }
        }
        (of, _) => return Err(misnamed(states, &of)),
    })
}

/// The state of a session is not that of one of its branches.
fn address(
    store: &Store,
    of_branch: bool,
    session: SessionId,
    branch: Option<BranchName>,
    sequence: Option<u64>,
) -> Result<Address, Problem> {
    if of_branch {
        return Ok(shown(store, session, branch, sequence)?);
    }
    match (branch, sequence) {
        (None, None) => Ok(Address::new(session, BranchName::main())),
        _ => Err(invalid(
            "branch",
            "and sequence belong to states of branches; this projection has one for each session",
        )),
    }
}

fn misnamed(states: &States, of: &Of) -> Problem {
    match of {
        Of::Key(_) => invalid("key", format!("does not name a state of {}: name a session", states.name())),
        Of::Session(..) => {
            invalid("session", format!("does not name a state of {}: name a key", states.name()))
        }
    }
}

/// The last event of a branch, in its order, that had happened by a time.
fn last_by(store: &Store, address: &Address, time: Timestamp) -> Done<Option<Event>> {
    let by_then = Filter::new().until(Timestamp::from_micros(time.micros().saturating_add(1)));
    store.events(Query::branch(address.clone())?.reverse().limit(1).filter(by_then))?.next().transpose()
}

pub(super) fn changes(store: &Store, states: &States, of: Of) -> Result<History<Value>, Problem> {
    let of_branch = states.scope() == StateScope::Branch;
    match of {
        Of::Key(key) if states.scope() == StateScope::Key => Ok(states.history_of(&key)?),
        Of::Session(session, branch, sequence) if states.scope() != StateScope::Key => {
            Ok(states.history(address(store, of_branch, session, branch, sequence)?)?)
        }
        of => Err(misnamed(states, &of)),
    }
}
