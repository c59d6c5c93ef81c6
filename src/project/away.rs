//! A rebuild while the store cannot be had now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::{Commit, Refusing, SidecarTable, open_in_memory};
use crate::error::Error;
use crate::event::{Event, NewEvent};
use crate::project::{ApplyError, Projection, Scope};
use crate::store::{Builder, Store};

struct Counted(Scope);

impl Projection for Counted {
    type State = u64;

    fn name(&self) -> &str {
        "counted"
    }

    fn scope(&self) -> Scope {
        self.0
    }

    fn key(&self, event: &Event) -> Option<String> {
        Some(event.kind().to_owned())
    }

    fn apply(&self, count: &mut u64, _: &Event) -> std::result::Result<(), ApplyError> {
        *count += 1;
        Ok(())
    }
}

/// So many commits of states are not answered.
fn store() -> (Store, Arc<AtomicUsize>) {
    let refuse = |commit: &Commit| {
        let mut rows = commit.records()?.rows();
        let is_state = rows.any(|(table, _, _)| table == SidecarTable::Snapshots);
        is_state.then_some(Error::NoAnswer { owner: 1, seconds: 1 })
    };
    let left = Arc::<AtomicUsize>::default();
    let engine = Refusing { engine: open_in_memory(false), left: left.clone(), refuse };
    (Builder::new().on(Arc::new(engine)).unwrap(), left)
}

#[test]
fn a_rebuild_that_the_store_does_not_answer_for_a_while_is_taken_up_again() {
    for scope in [Scope::Branch, Scope::Session, Scope::Key] {
        let (store, left) = store();
        (0..9).for_each(|_| drop(store.append("s", NewEvent::new("a.b")).unwrap()));
        let states = store.project(Counted(scope)).unwrap();
        states.catch_up().unwrap();
        left.store(3, Ordering::SeqCst);
        let rebuild = states.rebuild().unwrap();
        let ended = rebuild.wait_for(Duration::from_secs(60));
        assert_eq!(ended, Ok(Some(true)), "{scope:?}: {:?}", rebuild.progress());
        assert_eq!(left.load(Ordering::SeqCst), 0);
        let all = states.list(|_| true).unwrap();
        assert_eq!(all.iter().map(|reading| reading.state).collect::<Vec<_>>(), [9]);
        let info = &store.projections().list().unwrap()[0];
        assert_eq!((info.parked.len(), info.stopped.as_deref()), (0, None));
    }
}
