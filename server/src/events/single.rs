//! One event, from its JSON: our own or a CloudEvent.

use std::borrow::Cow;

use retold::agents::interop::parse_line;
use retold::event::MAIN;
use retold::{Address, Invalid, NewEvent};
use serde::Deserialize;

use crate::problem::Problem;

/// One event for a branch. It may name the branch, but no other.
pub(super) fn event(text: &str, to: &Address) -> Result<NewEvent, Problem> {
    let (place, event) = parse_line(text, Some(to.session()))?;
    let is_elsewhere = |field: &'static str, name: &str, meant: &str| {
        let reason =
            format!("is {name}, but the events are sent to {meant}; leave it out, or send the event there");
        Problem::from(Invalid::new(field, reason))
    };
    if place.session != *to.session() {
        return Err(is_elsewhere("session", place.session.as_str(), to.session().as_str()));
    }
    if place.branch != *to.branch() && (place.branch.as_str() != MAIN || names_branch(text)) {
        return Err(is_elsewhere("branch", place.branch.as_str(), to.branch().as_str()));
    }
    event.check()?;
    Ok(event)
}

/// Whether the event names a branch itself: where it names none, it is read as if it were `main`.
fn names_branch(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        branch: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Named<'_>>(text).is_ok_and(|named| named.branch.is_some())
}
