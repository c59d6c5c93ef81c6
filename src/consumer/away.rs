//! A consumer whose store cannot be had for a while, as that of an owner that stands still.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::yield_now;

use super::{Consumer, ConsumerConfig};
use crate::engine::{Commit, Engine, EngineLayer, EngineReader, Outcome, Submitted, open_in_memory};
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent};
use crate::store::{Batch, Builder, Store};

#[derive(Debug, Default)]
struct World {
    is_away: AtomicBool,
    /// The next commit is not known to be written, and the store is away from then on.
    goes: AtomicBool,
    refused: AtomicUsize,
}

impl World {
    fn there(&self) -> Result<()> {
        if !self.is_away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Error::NoAnswer { owner: 1, seconds: 1 })
    }

    fn set_away(&self, is_away: bool) {
        self.refused.store(0, Ordering::SeqCst);
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Until the store was asked in vain so often.
    async fn was_asked(&self, times: usize) {
        while self.refused.load(Ordering::SeqCst) < times {
            yield_now().await;
        }
    }
}

#[derive(Debug)]
struct Away {
    engine: Arc<dyn Engine>,
    world: Arc<World>,
}

impl EngineLayer for Away {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.world.there()?;
        if self.world.goes.swap(false, Ordering::SeqCst) {
            self.world.set_away(true);
            return Err(Error::Unknown { reason: "the owner is gone".into() });
        }
        self.engine.commit(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { EngineLayer::commit(self, commit) })
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        self.world.there()?;
        self.engine.reader()
    }
}

fn store() -> (Store, Arc<World>) {
    let world = Arc::<World>::default();
    let engine = Away { engine: open_in_memory(false), world: world.clone() };
    (Builder::new().on(Arc::new(engine)).unwrap(), world)
}

async fn opened(store: &Store) -> Consumer {
    store.consumers().open("c", ConsumerConfig::new()).await.unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it does not wait")
}

fn poll_once<T>(work: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    work.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_consumer_is_closed_while_its_owner_stands_still() {
    let (store, world) = store();
    let consumer = opened(&store).await;
    store.append("s", NewEvent::new("a.b")).unwrap();
    let delivery = consumer.next().await.unwrap();
    world.set_away(true);
    let failed = delivery.ack().await.unwrap_err();
    assert!(matches!(failed, Error::NoAnswer { .. }), "{failed:?}");
    world.was_asked(3).await;
    let other = consumer.clone();
    soon(consumer.close()).await;
    assert_eq!(soon(other.next()).await.unwrap_err(), Error::Closed { after: None });
    world.set_away(false);
    // The same delivery can still be resolved.
    let again = opened(&store).await;
    again.ack(&delivery.token()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_without_a_worker_ends_while_its_owner_stands_still() {
    let (store, world) = store();
    let consumer = opened(&store).await;
    store.append("s", NewEvent::new("a.b")).unwrap();
    world.set_away(true);
    soon(consumer.try_next()).await.unwrap_err();
    world.was_asked(3).await;
    drop(consumer);
    // Whoever opens it waits until that one has ended.
    soon(store.consumers().open("c", ConsumerConfig::new())).await.unwrap_err();
    world.set_away(false);
    assert!(soon(opened(&store).await.try_next()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_delivery_that_nobody_received_is_given_back_though_the_store_was_away() {
    let (store, world) = store();
    let consumer = opened(&store).await;
    store.append("s", NewEvent::new("a.b")).unwrap();
    {
        let mut asks = pin!(consumer.next());
        assert!(poll_once(asks.as_mut()).is_pending());
        while store.consumers().info("c").unwrap().outstanding.is_empty() {
            yield_now().await;
        }
    }
    world.set_away(true);
    world.was_asked(2).await;
    world.set_away(false);
    let delivery = loop {
        match soon(consumer.next()).await {
            Ok(delivery) => break delivery,
            Err(error) => assert!(error.is_passing(), "{error:?}"),
        }
    };
    assert_eq!(delivery.deliveries(), 1);
}

#[tokio::test]
async fn who_was_being_answered_when_the_store_went_is_told_that_the_outcome_is_unknown() {
    for with in [false, true] {
        let (store, world) = store();
        let consumer = opened(&store).await;
        store.append("s", NewEvent::new("a.b")).unwrap();
        let delivery = consumer.next().await.unwrap();
        world.goes.store(true, Ordering::SeqCst);
        let batch = Batch::new().add("r", Expect::Any, NewEvent::new("a.c")).unwrap();
        let mut acks = pin!(async {
            match with {
                true => delivery.ack_with(batch).await.map(drop),
                false => delivery.ack().await,
            }
        });
        let first = poll_once(acks.as_mut());
        // What the consumer meets later is not what became of this.
        world.was_asked(3).await;
        let told = match first {
            Poll::Ready(told) => told,
            Poll::Pending => soon(acks).await,
        };
        assert!(matches!(told, Err(Error::Unknown { .. })), "{told:?}");
        world.set_away(false);
        // It was not acknowledged, as it happens.
        soon(async { while delivery.ack().await.is_err_and(|error| error.is_passing()) {} }).await;
        assert_eq!(store.consumers().info("c").unwrap().acknowledged, 1);
    }
}
