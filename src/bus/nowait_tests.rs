//! What is published without waiting, to a store that fails when the test says so.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::builder::BusBuilder;
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
    open_with(error, spill, |builder| builder.nowait_queue(queue))
}

fn open_with(
    error: Error,
    spill: &Path,
    with: impl FnOnce(BusBuilder) -> BusBuilder,
) -> (Bus, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let engine = Gated { engine: open_in_memory(false), gate: gate.clone(), error };
    let store = Builder::new().on(Arc::new(engine)).unwrap();
    let bus = Bus::builder().spill(spill).spill_reserve(0).timers(false).history_limit(0);
    (with(bus).open(&store).unwrap(), gate)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap()
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

#[test]
fn what_the_writer_had_in_hand_when_its_runtime_ended_is_in_the_spill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.spill.ndjson");
    let runtime = runtime();
    let (bus, flushes) = runtime.block_on(async {
        let (bus, _gate) = open(Error::storage("the disk is gone"), 64, &path);
        bus.publish_nowait("a", NewEvent::new("step.one"));
        bus.publish_nowait("b", NewEvent::new("step.two"));
        until(|| bus.stats().nowait_waiting == 0).await;
        bus.publish_nowait("a", NewEvent::new("step.three"));
        let flushes = bus.clone();
        let mut flushes = Box::pin(async move { flushes.flush().await });
        assert!(std::future::poll_fn(|cx| Poll::Ready(flushes.as_mut().poll(cx).is_pending())).await);
        (bus, flushes)
    });
    drop(runtime);
    assert_eq!(spilled(&path), ["step.one", "step.two", "step.three"]);
    let stats = bus.stats();
    assert_eq!((stats.nowait, stats.published, stats.spilled, stats.dropped), (3, 0, 3, 0));
    // Who waits for that is answered.
    self::runtime().block_on(flushes);
}

#[test]
fn what_waits_for_a_thread_to_be_set_aside_when_its_runtime_ends_is_in_the_spill_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.spill.ndjson");
    let runtime = runtime();
    let (goes_on, waits) = std::sync::mpsc::channel::<()>();
    let bus = runtime.block_on(async {
        let (bus, gate) = open(Error::storage("the disk is gone"), 64, &path);
        bus.publish_nowait("b", NewEvent::new("step.one"));
        until(|| bus.stats().nowait_waiting == 0).await;
        bus.publish_nowait("b", NewEvent::new("step.two"));
        // The only thread for what blocks.
        drop(tokio::task::spawn_blocking(move || waits.recv()));
        gate.add_permits(1);
        until(|| gate.available_permits() == 0).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(spilled(&path), [""; 0]);
        bus
    });
    runtime.shutdown_background();
    assert_eq!(spilled(&path), ["step.one", "step.two"]);
    assert_eq!((bus.stats().spilled, bus.stats().dropped), (2, 0));
    // It may not have begun.
    let _ = goes_on.send(());
}

#[test]
fn what_the_writer_had_in_hand_is_counted_when_there_is_no_spill() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let bus = runtime.block_on(async {
        let (bus, _gate) =
            open_with(Error::storage("the disk is gone"), &dir.path().join("s"), |b| b.spill_limit(0));
        bus.publish_nowait("a", NewEvent::new("step.one"));
        until(|| bus.stats().nowait_waiting == 0).await;
        bus.publish_nowait("a", NewEvent::new("step.two"));
        bus
    });
    drop(runtime);
    assert_eq!((bus.stats().spilled, bus.stats().dropped), (0, 2));
}
