//! Events that an upcaster can't make new: what is told of them, and to whom.

use retold::{Address, Error, Query, Sequence, Store};
use serde_json::json;

use super::pick::Pick;
use crate::problem::Problem;

/// What is told of such an event, if it is asked for. Blocks.
pub(super) fn told(store: &Store, pick: &Pick, error: Error) -> Result<Option<Problem>, Error> {
    let Error::Upcast { at, position, .. } = &error else { return Err(error) };
    if !is_wanted(store, pick, at)? {
        return Ok(None);
    }
    let place = [
        ("session", json!(at.session().as_str())),
        ("branch", json!(at.branch().as_str())),
        ("sequence", json!(at.sequence().map(Sequence::get))),
        ("position", json!(position.get())),
    ];
    Ok(Some(place.into_iter().fold(Problem::from(error), |problem, (name, value)| problem.with(name, value))))
}

/// Whether such an event is asked for, as far as can be said: what a filter says of its payload can't.
fn is_wanted(store: &Store, pick: &Pick, at: &Address) -> Result<bool, Error> {
    match is_taken(store, pick, at) {
        // It is inherited from a branch that is gone, and can't be looked up there.
        Err(Error::Deleted { .. } | Error::Truncated { .. } | Error::NotFound { .. }) => Ok(true),
        known => known,
    }
}

fn is_taken(store: &Store, pick: &Pick, at: &Address) -> Result<bool, Error> {
    let sequence = at.sequence().unwrap_or(Sequence::ZERO).get();
    let only = Query::branch(at)?.from(sequence).to(sequence).limit(1);
    if pick.has_exceptions() {
        let event = store.events(only.clone().raw())?.next().transpose()?;
        if event.is_some_and(|event| pick.leaves_out(event.kind())) {
            return Ok(false);
        }
    }
    match store.events(only.filter(pick.filter()))?.next() {
        None => Ok(false),
        Some(Ok(_) | Err(Error::Upcast { .. })) => Ok(true),
        Some(Err(error)) => Err(error),
    }
}
