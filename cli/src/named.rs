//! What a name on the command line stands for. Sessions, branches and events may be given by the beginning of their name, if no
//! other begins so; the exact name always wins. Verbs that destroy something take exact names only: [`advised`].

use super::failure::{Ambiguous, Failure};
use super::known::{is_session, was_session};
use super::near;
use super::output::Out;
use super::style::{DIM, paint};
use retold::error::{Error, Result};
use retold::event::finding::IdPrefix;
use retold::event::{Address, BranchName, EventId, Invalid, Place, SessionId};
use retold::store::Store;
use retold::store::names::{self, SomeNames};

/// Names that an error lists at most.
const LISTED: usize = 5;

/// The session that is meant.
pub(super) fn session(store: &Store, given: &str, out: &mut Out) -> Result<SessionId, Failure> {
    let found = session_of(store, &SessionId::new(given)?)?;
    told(given, found.as_str(), out);
    Ok(found)
}

/// The branch or event that an address means; without a branch, of `main`.
pub(super) fn address(store: &Store, given: &str, out: &mut Out) -> Result<Address, Failure> {
    let address: Address = given.parse()?;
    // Whatever else is wrong with it, the verb says; what was deleted keeps its name.
    if !matches!(store.head(address.place()), Err(Error::NotFound { .. })) {
        return Ok(address);
    }
    let session = session_of(store, address.session())?;
    let (place, mut text) = match given.contains('/') {
        true => {
            let place = branch_of(store, &session, address.branch())?;
            let text = place.to_string();
            (place, text)
        }
        false => {
            let text = session.to_string();
            (Place::new(session, BranchName::main()), text)
        }
    };
    let mut found = Address::from(place);
    if let Some(sequence) = address.sequence() {
        text = format!("{text}@{sequence}");
        found = found.at(sequence);
    }
    told(given, &text, out);
    Ok(found)
}

/// Says what may have been meant by a session or branch that does not exist yet and is waited for.
pub(super) fn awaited(store: &Store, given: &str, out: &mut Out) {
    let Ok(address) = given.parse::<Address>() else { return };
    let Err(error @ Error::NotFound { .. }) = store.head(address.place()) else { return };
    if let Failure::Advised(advised) = advised(store, error) {
        out.note(paint(DIM, format!("{given} does not exist yet, and is waited for; {}", advised.1)));
    }
}

/// The event that is meant.
pub(super) fn event(store: &Store, given: &str) -> Result<EventId, Failure> {
    // A whole id may be written in other ways too.
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let prefix: IdPrefix = given.parse()?;
    one("event", given, store.ids(&prefix, LISTED + 1)?)?
        .ok_or_else(|| Error::not_found("event", given).into())
}

fn session_of(store: &Store, given: &SessionId) -> Result<SessionId, Failure> {
    if was_session(store, given)? {
        return Ok(given.clone());
    }
    // Names are listed in order: those that begin so follow.
    let found = begun("session", given.as_str(), names::sessions(store, Some(given), LISTED + 1)?)?;
    match one("session", given.as_str(), found)? {
        Some(session) => Ok(SessionId::new(session)?),
        None => Err(advised(store, Error::not_found("session", given))),
    }
}

fn branch_of(store: &Store, session: &SessionId, given: &BranchName) -> Result<Place, Failure> {
    let place = Place::new(session.clone(), given.clone());
    match store.head(Address::from(place.clone())) {
        // What was deleted is that, and nothing else that begins so.
        Ok(_) | Err(Error::Deleted { .. }) => return Ok(place),
        Err(Error::NotFound { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let found = names::branches(store, session, Some(given), LISTED + 1)?;
    let found = begun("branch", given.as_str(), found)?.into_iter().map(|name| format!("{session}/{name}"));
    match one("branch", &place.to_string(), found.collect())? {
        Some(found) => Ok(Place::clone(found.parse::<Address>()?.place())),
        None => Err(advised(store, Error::not_found("branch", place))),
    }
}

/// Those of these names, which come right after it, that begin so. If the search was cut short, that must not have been
/// before the last of them.
fn begun(what: &'static str, given: &str, found: SomeNames) -> Result<Vec<String>, Failure> {
    let is_open = found.is_cut && found.names.iter().all(|name| name.starts_with(given));
    let begun: Vec<String> = found.names.into_iter().filter(|name| name.starts_with(given)).collect();
    if is_open && begun.len() < 2 {
        let reason = format!(
            "`{}` may be short for several, after many that were deleted: give the whole name, or run `retold purge`",
            given.escape_debug()
        );
        return Err(Error::from(Invalid::new(what, reason)).into());
    }
    Ok(begun)
}

/// The only one of those that begin so.
fn one<T: ToString>(what: &'static str, given: &str, mut found: Vec<T>) -> Result<Option<T>, Failure> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let more = found.len() > LISTED;
    found.truncate(LISTED);
    let candidates = found.iter().map(T::to_string).collect();
    Err(Failure::Ambiguous(Box::new(Ambiguous { what, given: given.to_owned(), candidates, more })))
}

fn told(given: &str, found: &str, out: &mut Out) {
    if given != found {
        out.note(paint(DIM, format!("{given} is short for {found}")));
    }
}

/// The error, and the names that may have been meant if it says that something does not exist. A store that cannot tell them says
/// nothing of that.
pub(super) fn advised(store: &Store, error: Error) -> Failure {
    let Error::NotFound { what, name } = &error else { return error.into() };
    let near = match (*what, name.split_once('/')) {
        ("session", None) => near::sessions(store, name),
        ("branch" | "session", Some((session, branch))) => of_branch(store, session, branch),
        _ => return error.into(),
    };
    match near.ok().as_deref().and_then(near::question) {
        Some(question) => Failure::Advised(Box::new((error, question))),
        None => error.into(),
    }
}

/// Branches that may have been meant, or the sessions.
fn of_branch(store: &Store, session: &str, branch: &str) -> Result<Vec<String>> {
    let Ok(id) = SessionId::new(session) else { return Ok(Vec::new()) };
    if !is_session(store, &id)? {
        return near::sessions(store, session);
    }
    let names = near::branches(store, &id, branch)?;
    Ok(names.into_iter().map(|name| format!("{session}/{name}")).collect())
}
