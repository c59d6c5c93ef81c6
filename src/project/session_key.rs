//! Under which key the state of a session lies: its name, until its main branch was deleted and begun anew. From then on
//! the number of that is in it, so that nothing of the session before is in the state.

use crate::error::{Error, Result};
use crate::event::{BranchName, Event, Place, SessionId};
use crate::store::{Branch, Range, Reader};

/// Between a name, which has no such character, and a number.
const MARK: char = '\0';

/// The session of a key.
pub(super) fn session_of(key: &str) -> &str {
    key.split_once(MARK).map_or(key, |(session, _)| session)
}

/// Whether the session was begun anew: its events may be older than the key.
pub(super) fn is_anew(key: &str) -> bool {
    key.contains(MARK)
}

/// The key of a session as it is now.
pub(super) fn key_of(reader: &Reader, session: &SessionId) -> Result<String> {
    let main = Place::new(session.clone(), BranchName::main());
    let main = match reader.last_named(&main) {
        // What can be read of it goes on as before.
        Err(e) if e.is_damage() => None,
        named => named?,
    };
    Ok(match main.filter(|main| main.attributes.incarnation > 0) {
        Some(main) => format!("{session}{MARK}{}", main.number),
        None => session.to_string(),
    })
}

/// The key of the session of an event; `None` for an event that was deleted since it was read, of a session that was begun
/// anew.
pub(super) fn key_of_event(reader: &Reader, event: &Event) -> Result<Option<String>> {
    let key = key_of(reader, event.session())?;
    if is_anew(&key) {
        match reader.branch(event.place()) {
            Ok(branch) if is_of(reader, &branch, event)? => {}
            Ok(_) | Err(Error::Deleted { .. } | Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(Some(key))
}

/// Whether an event is of this branch, and not of one that had its names before.
pub(super) fn is_of(reader: &Reader, branch: &Branch, event: &Event) -> Result<bool> {
    if branch.attributes.incarnation == 0 || event.recorded().micros() > branch.created {
        return Ok(true);
    }
    // Within one microsecond times say nothing, nor when the clock was set back.
    let (from, to) = (event.sequence().get(), event.sequence().get());
    match reader.page(branch, Range { from, to, limit: 1, reverse: false }) {
        Err(e) if e.is_of_what_is_gone() => Ok(false),
        page => Ok(page?.first().is_some_and(|found| found.position() == event.position())),
    }
}

/// Whether a key is of a session that is gone, or of one before the one that has its name.
pub(super) fn is_gone(reader: &Reader, key: &str) -> Result<bool> {
    let Ok(session) = SessionId::new(session_of(key)) else { return Ok(false) };
    Ok(key_of(reader, &session)? != key || reader.branches_of(&session)?.is_empty())
}
