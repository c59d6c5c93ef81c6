//! Names as somebody types them who does not know them exactly.

use crate::error::{Error, Result};
use crate::event::{BranchName, SessionId};
use crate::limits::{MAX_LISTING, NAME_ROWS};
use crate::store::handle::reader::Reader;
use crate::store::handle::store::Store;

/// Some names, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SomeNames {
    /// The names.
    pub names: Vec<String>,
    /// The search ended before the limit, and there may be more: too much was deleted in between and is not
    /// [purged](crate::lifecycle) yet.
    pub is_cut: bool,
}

/// Up to `limit` names of sessions (10,000 at the most) after this one, out of no more than 10,000 rows. A
/// [listing](Store::session_names) finds all of them, however long it takes to pass over what was deleted.
///
/// ```
/// use retold::store::names;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// let found = names::sessions(&store, None, 5)?;
/// assert_eq!((found.names, found.is_cut), (vec!["run-7".to_owned()], false));
/// # Ok::<(), retold::Error>(())
/// ```
///
/// # Errors
/// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
pub fn sessions(store: &Store, after: Option<&SessionId>, limit: usize) -> Result<SomeNames> {
    some(store, None, after.map(SessionId::as_str), limit)
}

/// The same of the branches of a session; none when there is no such session.
///
/// # Errors
/// As [`sessions`].
pub fn branches(
    store: &Store,
    of: &SessionId,
    after: Option<&BranchName>,
    limit: usize,
) -> Result<SomeNames> {
    some(store, Some(of), after.map(BranchName::as_str), limit)
}

fn some(store: &Store, of: Option<&SessionId>, after: Option<&str>, limit: usize) -> Result<SomeNames> {
    let (reader, limit) = (store.reader()?, limit.min(MAX_LISTING));
    match reader.some_names(of, after, limit, NAME_ROWS) {
        Ok(found) => Ok(SomeNames { names: found.names, is_cut: found.is_cut }),
        // The owner of the store may be of an earlier build, which does not know the question.
        Err(Error::Storage { .. }) => listed(&reader, of, after, limit),
        Err(e) => Err(e),
    }
}

/// The same from a listing, which looks at all rows in between.
fn listed(reader: &Reader, of: Option<&SessionId>, after: Option<&str>, limit: usize) -> Result<SomeNames> {
    let names = match of {
        Some(session) => {
            let branches = reader.branches_of(session)?.into_iter();
            let names = branches.map(|branch| branch.place.branch.to_string());
            names.filter(|name| after.is_none_or(|after| name.as_str() > after)).take(limit).collect()
        }
        None => {
            let after = after.map(SessionId::new).transpose()?;
            let sessions = reader.session_names(after.as_ref(), limit)?;
            sessions.iter().map(SessionId::to_string).collect()
        }
    };
    Ok(SomeNames { names, is_cut: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;

    #[test]
    fn a_listing_finds_the_same_names() {
        let store = Store::in_memory().unwrap();
        for session in ["a", "ab", "b", "c"] {
            store.append(session, NewEvent::new("a.b")).unwrap();
        }
        for branch in ["left", "near", "old"] {
            store.fork("b@1", branch).unwrap();
        }
        store.lifecycle().delete("ab").unwrap();
        store.lifecycle().delete("b/near").unwrap();
        let (reader, b) = (store.reader().unwrap(), SessionId::new("b").unwrap());
        for (of, after, names) in [
            (None, None, &["a", "b", "c"][..]),
            (None, Some("a"), &["b", "c"]),
            (Some(&b), None, &["left", "main", "old"]),
            (Some(&b), Some("left"), &["main", "old"]),
        ] {
            for limit in [1, 2, 10] {
                let found = listed(&reader, of, after, limit).unwrap();
                assert_eq!(found, some(&store, of, after, limit).unwrap());
                assert_eq!(found.names, names[..limit.min(names.len())]);
            }
        }
    }
}
