//! Handlers while the store cannot be had for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::yield_now;

use super::bus::Bus;
use crate::delivery::Owner;
use crate::engine::{Engine, EngineLayer, EngineReader, beside, open_in_memory};
use crate::error::{Error, Result};
use crate::event::NewEvent;
use crate::store::Builder;

/// Cannot be read while it is away.
#[derive(Debug)]
struct Away {
    engine: Arc<dyn Engine>,
    is_away: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl EngineLayer for Away {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        if self.is_away.load(SeqCst) {
            self.asked.fetch_add(1, SeqCst);
            return Err(Error::NoAnswer { owner: 1, seconds: 1 });
        }
        self.engine.reader()
    }
}

async fn until(holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), held).await.expect("it comes");
}

#[tokio::test]
async fn dead_letters_that_were_replayed_while_the_store_was_away_are_handled() {
    let root = open_in_memory(false);
    let (is_away, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let other = Builder::new().on(root.clone()).unwrap();
    let engine = Away { engine: beside(root), is_away: is_away.clone(), asked: asked.clone() };
    let store = Builder::new().on(Arc::new(engine)).unwrap();
    let bus = Bus::builder().timers(false).history_limit(0).max_deliveries(1).open(&store).unwrap();
    let calls = Arc::<AtomicUsize>::default();
    let counts = calls.clone();
    let handler = bus.subscribe("a.b").named("h").run(move |_| {
        let is_first = counts.fetch_add(1, SeqCst) == 0;
        async move { if is_first { Err("not yet") } else { Ok(()) } }
    });
    let _handler = handler.unwrap();
    other.append("s", NewEvent::new("a.b")).unwrap();
    let owner = Owner::handler("h").unwrap();
    let dead_letters = || other.dead_letters().list(Some(&owner), None, 9).unwrap().len();
    until(|| dead_letters() == 1).await;
    is_away.store(true, SeqCst);
    other.dead_letters().replay_all(&owner).unwrap();
    until(|| asked.load(SeqCst) > 0).await;
    is_away.store(false, SeqCst);
    until(|| calls.load(SeqCst) == 2 && dead_letters() == 0).await;
    bus.close().await.unwrap();
}
