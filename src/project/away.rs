//! A rebuild while the store cannot be had now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::{Commit, Engine, EngineLayer, Outcome, SidecarTable, Submitted, open_in_memory};
use crate::error::{Error, Result};
use crate::event::{Event, NewEvent};
use crate::project::{ApplyError, Projection, Scope};
use crate::store::{Builder, Store};

/// So many commits of states are not answered.
#[derive(Debug)]
struct Away {
    engine: Arc<dyn Engine>,
    left: Arc<AtomicUsize>,
}

impl EngineLayer for Away {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        let is_state = |records: &crate::store::SidecarWrites| {
            records.rows().any(|(table, _, _)| table == SidecarTable::Snapshots)
        };
        let one_less = |left: usize| left.checked_sub(1);
        if commit.records().is_some_and(is_state)
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
        {
            return Err(Error::NoAnswer { owner: 1, seconds: 1 });
        }
        self.engine.commit(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { EngineLayer::commit(self, commit) })
    }
}

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

fn store() -> (Store, Arc<AtomicUsize>) {
    let left = Arc::<AtomicUsize>::default();
    let engine = Away { engine: open_in_memory(false), left: left.clone() };
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
