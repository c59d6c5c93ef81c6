//! Whether something of exactly this name exists.

use retold::error::{Error, Result};
use retold::event::{Address, BranchName, SessionId};
use retold::store::Store;

/// Whether there is a session of exactly this name.
pub(super) fn is_session(store: &Store, session: &SessionId) -> Result<bool> {
    is_known(store, session, false)
}

/// Whether there is one, or its main branch was deleted: what was deleted keeps its name.
pub(super) fn was_session(store: &Store, session: &SessionId) -> Result<bool> {
    is_known(store, session, true)
}

fn is_known(store: &Store, session: &SessionId, also_deleted: bool) -> Result<bool> {
    match store.head(Address::new(session.clone(), BranchName::main())) {
        Ok(_) => Ok(true),
        Err(Error::Deleted { .. }) if also_deleted => Ok(true),
        // Its main may be deleted, and others not.
        Err(Error::NotFound { .. } | Error::Deleted { .. }) => match store.branches(session) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(e),
        },
        Err(e) => Err(e),
    }
}
