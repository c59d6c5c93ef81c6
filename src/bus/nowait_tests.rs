//! What is published without waiting, to a store that fails when the test says so.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::bus::Bus;
use crate::engine::{Commit, Engine, EngineLayer, Outcome, Submitted, open_in_memory};
use crate::error::{Error, Result};
use crate::event::NewEvent;
use crate::store::Builder;

/// Lets a commit through for each permit, and fails those of session `b`.
#[derive(Debug)]
struct Gated {
    engine: Arc<dyn Engine>,
    gate: Arc<Semaphore>,
    error: Error,
}

impl EngineLayer for Gated {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move {
            if let Ok(permit) = self.gate.acquire().await {
                permit.forget();
            }
            match &commit {
                Commit::Append(p) if p.parts.iter().any(|p| p.place.session.as_str() == "b") => {
                    Err(self.error.clone())
                }
                _ => EngineLayer::commit(self, commit),
            }
        })
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.engine.commit(commit)
    }
}

fn open(error: Error, queue: usize, spill: &Path) -> (Bus, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let engine = Gated { engine: open_in_memory(false), gate: gate.clone(), error };
    let store = Builder::new().on(Arc::new(engine)).unwrap();
    let bus = Bus::builder().nowait_queue(queue).spill(spill).spill_reserve(0).timers(false);
    (bus.history_limit(0).open(&store).unwrap(), gate)
}

/// The types of what is in the spill, in order.
fn spilled(spill: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(spill).unwrap_or_default();
    let kind = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone();
    text.lines().map(|line| kind(line).as_str().unwrap().to_owned()).collect()
}

async fn until(holds: impl Fn() -> bool) {
    let waits = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), waits).await.expect("in time");
}

#[tokio::test]
async fn an_event_does_not_overtake_what_is_queued_for_a_branch_that_was_just_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.spill.ndjson");
    let (bus, gate) = open(Error::corrupt("session b", "it is damaged"), 64, &path);
    bus.publish_nowait("b", NewEvent::new("step.one"));
    until(|| bus.stats().nowait_waiting == 0).await;
    for (session, kind) in [("b", "step.two"), ("a", "other.one"), ("b", "step.three")] {
        bus.publish_nowait(session, NewEvent::new(kind));
    }
    // The first fails with its group, then alone, and its branch is held.
    gate.add_permits(2);
    until(|| !spilled(&path).is_empty()).await;
    bus.publish_nowait("b", NewEvent::new("step.four"));
    gate.add_permits(1_000);
    bus.flush().await;
    assert_eq!(spilled(&path), ["step.one", "step.two", "step.three", "step.four"]);
    assert_eq!((bus.stats().published, bus.stats().dropped), (1, 0));
}

#[tokio::test]
async fn what_was_queued_comes_before_what_no_longer_fitted_also_when_the_store_fails_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.spill.ndjson");
    let (bus, gate) = open(Error::storage("the disk is gone"), 2, &path);
    bus.publish_nowait("b", NewEvent::new("step.one"));
    until(|| bus.stats().nowait_waiting == 0).await;
    for kind in ["step.two", "step.three", "step.four", "step.five"] {
        bus.publish_nowait("b", NewEvent::new(kind));
    }
    assert_eq!(spilled(&path), ["step.four", "step.five"]);
    gate.add_permits(1);
    until(|| spilled(&path).len() == 5).await;
    assert_eq!(spilled(&path), ["step.one", "step.two", "step.three", "step.four", "step.five"]);
    assert_eq!(bus.stats().dropped, 0);
    gate.add_permits(1_000);
}
