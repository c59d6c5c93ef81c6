//! The names of handlers: whoever has a name has the dead letters under it, so a store gives each name once at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::delivery::{Owner, discard_oldest};
use crate::error::{Error, Result};
use crate::event::{EventId, Invalid};
use crate::store::{Observer, Process, StoreHandle};
use crate::sync::{Mutex, lock};

/// The prefix of the names of unnamed handlers.
const UNNAMED: &str = "unnamed-";

/// The names of the handlers of all buses on one open store.
#[derive(Debug)]
struct Names {
    taken: Mutex<HashSet<Arc<str>>>,
    /// The prefix of those of this opening of the store, followed by a number. No later opening has it; they sort by time.
    unnamed: String,
    next: AtomicU64,
}

impl Observer for Names {}

impl Names {
    fn new() -> Self {
        let unnamed = format!("{UNNAMED}{}-", EventId::new().uuid().simple());
        Self { taken: Mutex::default(), unnamed, next: AtomicU64::new(1) }
    }
}

/// A name that is not given to another handler on the store until this is dropped.
#[derive(Debug)]
pub(super) struct TakenName {
    names: Arc<Names>,
    process: Process,
    name: Arc<str>,
}

impl TakenName {
    /// Takes this name, or for an unnamed handler one that was never used.
    pub(super) fn take(handle: &StoreHandle, name: Option<String>) -> Result<(Self, Owner)> {
        let names = handle.observer(Names::new)?;
        let owner = match name {
            Some(name) if name.starts_with(UNNAMED) => {
                let reason = format!(
                    "`{name}` begins with `{UNNAMED}`, which is reserved for handlers without a name"
                );
                return Err(Invalid::new("handler", reason).into());
            }
            Some(name) => Owner::handler(name)?,
            None => Owner::handler(format!("{}{}", names.unnamed, names.next.fetch_add(1, Relaxed)))?,
        };
        let name: Arc<str> = owner.name().into();
        if !lock(&names.taken).insert(name.clone()) {
            return Err(Error::Exists { what: "handler", name: name.to_string() });
        }
        Ok((Self { names, process: handle.process().clone(), name }, owner))
    }
}

impl Drop for TakenName {
    fn drop(&mut self) {
        if self.process.is_this() {
            lock(&self.names.taken).remove(&self.name);
        }
    }
}

/// Keeps the latest dead letters of unnamed handlers of earlier openings of the store, this many of them. Their owners are
/// gone, so nobody else bounds them. Blocks.
pub(super) fn bound_unnamed(handle: &StoreHandle, keep: usize) {
    let discarded =
        handle.observer(Names::new).and_then(|names| discard_oldest(handle, UNNAMED, &names.unnamed, keep));
    match discarded {
        Ok(0) | Err(Error::Closed { .. }) => {}
        Ok(discarded) => {
            tracing::warn!(discarded, keep, "old dead letters of unnamed handlers were discarded")
        }
        Err(error) => tracing::warn!(%error, "the dead letters of unnamed handlers could not be bounded"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{DeadLetter, DeadLetterQueue};
    use crate::event::Timestamp;
    use crate::store::{SidecarWrites, Store};

    fn dead_letter(owner: &Owner, position: u64) -> DeadLetter {
        DeadLetter {
            owner: owner.clone(),
            position: position.into(),
            at: format!("run/main@{position}").parse().unwrap(),
            id: EventId::new(),
            kind: "a.b".into(),
            error: "no".into(),
            deliveries: 1,
            first: Timestamp::from_micros(1),
            last: Timestamp::from_micros(1),
            again: false,
        }
    }

    #[test]
    fn a_name_is_had_once_and_one_that_nobody_chose_never_again() {
        let store = Store::in_memory().unwrap();
        let take = |name: Option<&str>| TakenName::take(&store.handle(), name.map(str::to_owned));
        let (mine, owner) = take(Some("mine")).unwrap();
        assert_eq!(owner.to_string(), "handler:mine");
        assert!(matches!(take(Some("mine")), Err(Error::Exists { what: "handler", .. })));
        drop(mine);
        let mine = take(Some("mine")).unwrap();
        let (first, second) = (take(None).unwrap(), take(None).unwrap());
        assert_ne!(first.1, second.1);
        let name = first.1.name().to_owned();
        drop((mine, first, second));
        assert_ne!(take(None).unwrap().1.name(), name);
        assert!(matches!(take(Some(&name)), Err(Error::Invalid(_))));
        let other = Store::in_memory().unwrap();
        let elsewhere = TakenName::take(&other.handle(), None).unwrap().1;
        assert!(!elsewhere.name().starts_with(name.trim_end_matches('1')));
    }

    #[test]
    fn dead_letters_of_unnamed_handlers_are_bounded_over_all_openings_of_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.redb");
        let open = || Store::builder().sync(false).open(&path).unwrap();
        for opening in 0..3 {
            let store = open();
            for (name, positions) in [(None, [3, 7]), (Some("named"), [10 + opening, 20 + opening])] {
                let (_taken, owner) = TakenName::take(&store.handle(), name.map(str::to_owned)).unwrap();
                let queue = DeadLetterQueue::open(&store.handle(), owner.clone(), 10).unwrap();
                let mut records = SidecarWrites::new();
                positions.iter().for_each(|p| queue.put(&mut records, &dead_letter(&owner, *p)));
                store.handle().write_records(records).unwrap();
            }
            store.close().unwrap();
        }
        let store = open();
        let left = || -> Vec<(bool, u64)> {
            let all = store.dead_letters().list(None, None, 100).unwrap();
            all.iter().map(|l| (l.owner.name() == "named", l.position.get())).collect()
        };
        let named = [10, 11, 12, 20, 21, 22].map(|p| (true, p));
        let unnamed = [(false, 3), (false, 7)];
        bound_unnamed(&store.handle(), 6);
        assert_eq!(left(), [&named[..], &unnamed, &unnamed, &unnamed].concat());
        bound_unnamed(&store.handle(), 3);
        assert_eq!(left(), [&named[..], &unnamed[1..], &unnamed].concat());
        // Those of this opening are bounded by their own handlers.
        let (_taken, owner) = TakenName::take(&store.handle(), None).unwrap();
        let queue = DeadLetterQueue::open(&store.handle(), owner.clone(), 10).unwrap();
        let mut records = SidecarWrites::new();
        queue.put(&mut records, &dead_letter(&owner, 1));
        store.handle().write_records(records).unwrap();
        bound_unnamed(&store.handle(), 0);
        assert_eq!(left(), [&named[..], &[(false, 1)]].concat());
    }
}
