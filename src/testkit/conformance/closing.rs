//! Closing a store: afterwards everything is refused, and everything acknowledged is there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    empty, equal, everything, holds, in_tasks, number, numbered, refused, reopened, run_of, some,
};
use super::home::{Capability, Home};
use crate::consumer::ConsumerConfig;
use crate::error::Error;
use crate::event::{BranchName, EventId, SessionId};
use crate::follow::{Follow, Followed};
use crate::project::{ApplyError, Projection};
use crate::store::{Builder, Query, Store};

cases! { "closing":
    everything_is_refused_afterwards,
    maintenance_is_refused_afterwards,
    every_clone_is_closed_and_closing_again_does_nothing,
    followers_deliver_what_was_committed_then_end,
    a_waiting_follower_ends,
    consumers_end,
    every_append_acknowledged_under_load_survives,
    a_store_that_is_dropped_is_closed,
}

struct Count;

impl Projection for Count {
    type State = u64;

    fn name(&self) -> &str {
        "conformance_count"
    }

    fn apply(&self, count: &mut u64, _: &crate::event::Event) -> Result<(), ApplyError> {
        *count += 1;
        Ok(())
    }
}

fn everything_is_refused_afterwards(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    store.append("s", event.clone())?;
    let count = store.project(Count)?;
    let (session, hour) = (SessionId::new("s")?, Duration::from_secs(3_600));
    let timer = store.timers().schedule("s", numbered(2), hour)?;
    store.close()?;
    refused!(store.append("s", numbered(3)), Error::Closed { after: None });
    refused!(store.append("s", event.clone()), Error::Closed { after: None });
    refused!(store.fork("s", "b"), Error::Closed { after: None });
    refused!(store.promote("s/b"), Error::Closed { after: None });
    refused!(store.head("s"), Error::Closed { after: None });
    refused!(store.get(event.id()), Error::Closed { after: None });
    refused!(store.get(EventId::new()), Error::Closed { after: None });
    refused!(store.read(&Query::branch("s")?), Error::Closed { after: None });
    refused!(store.events(Query::all()), Error::Closed { after: None });
    refused!(store.sessions(None, 10), Error::Closed { after: None });
    refused!(store.branches(&session), Error::Closed { after: None });
    refused!(store.branch("s"), Error::Closed { after: None });
    refused!(store.ancestry("s"), Error::Closed { after: None });
    refused!(store.diff("s", "s"), Error::Closed { after: None });
    refused!(store.follow(Follow::all()), Error::Closed { after: None });
    refused!(store.current(&session), Error::Closed { after: None });
    refused!(store.set_current(&session, &BranchName::main()), Error::Closed { after: None });
    refused!(store.timers().schedule("s", numbered(4), hour), Error::Closed { after: None });
    refused!(store.timers().list(10), Error::Closed { after: None });
    refused!(store.timers().cancel(timer.id), Error::Closed { after: None });
    refused!(store.timers().fire(), Error::Closed { after: None });
    refused!(store.consumers().list(), Error::Closed { after: None });
    refused!(store.dead_letters().list(None, None, 10), Error::Closed { after: None });
    refused!(store.projections().list(), Error::Closed { after: None });
    refused!(count.state("s"), Error::Closed { after: None });
    refused!(count.catch_up(), Error::Closed { after: None });
    in_tasks(async {
        refused!(store.append_async("s", numbered(5)).await, Error::Closed { after: None });
        refused!(store.fork_async("s", "b").await, Error::Closed { after: None });
        refused!(store.read_async(&Query::all()).await, Error::Closed { after: None });
        refused!(store.head_async("s").await, Error::Closed { after: None });
        refused!(store.consumers().open("c", ConsumerConfig::new()).await, Error::Closed { after: None });
        Ok(())
    })
}

fn maintenance_is_refused_afterwards(home: &mut dyn Home) -> CaseOutcome {
    if !home.has_maintenance() {
        return Err(Stop::Lacks(Capability::Maintenance));
    }
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.close()?;
    refused!(store.maintenance().flush(), Error::Closed { after: None });
    refused!(store.maintenance().verify(), Error::Closed { after: None });
    refused!(store.maintenance().info(), Error::Closed { after: None });
    Ok(())
}

fn every_clone_is_closed_and_closing_again_does_nothing(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let clone = store.clone();
    store.append("s", numbered(1))?;
    clone.close()?;
    clone.close()?;
    refused!(store.append("s", numbered(2)), Error::Closed { after: None });
    store.close()?;
    in_tasks(async {
        store.close_async().await?;
        Ok(())
    })
}

fn followers_deliver_what_was_committed_then_end(home: &mut dyn Home) -> CaseOutcome {
    const EVENTS: u64 = 500;
    let store = home.create(Builder::new().flush_after(64, 1 << 20))?;
    store.append("s", run_of(1..=EVENTS))?;
    in_tasks(async {
        let mut followers = Vec::new();
        for follow in [Follow::branch("s")?, Follow::session("s")?, Follow::all()] {
            let mut following = store.follow(follow)?;
            // It has started when the store closes; what it has not received yet still arrives.
            let first = some("next event", following.next_event().await)??;
            equal("the first", number(&first)?, 1)?;
            followers.push(following);
        }
        store.close_async().await?;
        for mut following in followers {
            for n in 2..=EVENTS {
                let event = some("next event", following.next_event().await)??;
                equal("the next", number(&event)?, n)?;
            }
            holds("it ends", following.next_event().await.is_none())?;
        }
        Ok(())
    })
}

fn a_waiting_follower_ends(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let mut waiting = Vec::new();
        for follow in [Follow::branch("s")?, Follow::session("s")?, Follow::all(), Follow::all().from_end()] {
            let mut following = store.follow(follow)?;
            let at_its_end = matches!(following.next().await, Some(Ok(Followed::CaughtUp { .. })));
            holds("it has caught up", at_its_end)?;
            waiting.push(tokio::spawn(async move { following.next().await.is_none() }));
        }
        tokio::task::yield_now().await;
        store.close_async().await?;
        for follower in waiting {
            holds("it ends", follower.await?)?;
        }
        Ok(())
    })
}

fn consumers_end(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await?;
        consumer.next().await?.ack().await?;
        let worker = consumer.clone();
        let waiting = tokio::spawn(async move { worker.next().await.map(drop) });
        tokio::task::yield_now().await;
        store.close_async().await?;
        refused!(waiting.await?, Error::Closed { after: None });
        refused!(consumer.next().await, Error::Closed { after: None });
        Ok(())
    })
}

fn appended_until_closed(store: &Store, thread: u64, acknowledged: &AtomicU64) -> CaseOutcome {
    for n in 0.. {
        match store.append(format!("s{thread}").as_str(), numbered(n)) {
            Ok(_) => acknowledged.fetch_add(1, Ordering::SeqCst),
            Err(Error::Closed { after: None }) => {
                return holds("it appended before the store was closed", n > 0);
            }
            Err(e) => return Err(e.into()),
        };
    }
    Ok(())
}

fn every_append_acknowledged_under_load_survives(home: &mut dyn Home) -> CaseOutcome {
    const THREADS: u64 = 4;
    let settings = Builder::new().flush_after(32, 1 << 20);
    let store = home.create(settings.clone())?;
    let acknowledged: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| -> CaseOutcome {
        let running: Vec<_> = (0..)
            .zip(&acknowledged)
            .map(|(thread, count)| {
                let store = &store;
                scope.spawn(move || appended_until_closed(store, thread, count))
            })
            .collect();
        // All threads are at work.
        while acknowledged.iter().any(|count| count.load(Ordering::SeqCst) < 20)
            && !running.iter().any(std::thread::ScopedJoinHandle::is_finished)
        {
            std::thread::yield_now();
        }
        store.close()?;
        running
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(Stop::failed("a thread panicked"))))
    })?;
    let store = reopened(home, store, &settings)?;
    let mut all = 0;
    for (thread, count) in (0..THREADS).zip(&acknowledged) {
        let count = count.load(Ordering::SeqCst);
        equal("what a thread has there", store.head(format!("s{thread}").as_str())?.get(), count)?;
        all += count;
    }
    equal("committed", store.committed().get(), all)
}

fn a_store_that_is_dropped_is_closed(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    let before = everything(&store)?;
    equal("events stored", before.len(), 3)?;
    in_tasks(async {
        let mut following = store.follow(Follow::all())?;
        for n in 1..=3 {
            let event = some("next event", following.next_event().await)??;
            equal("the next", number(&event)?, n)?;
        }
        // Neither this clone nor the follower keeps the store open.
        drop(store.clone());
        store.append_async("s", numbered(4)).await?;
        drop(store);
        let event = some("next event", following.next_event().await)??;
        equal("the last", number(&event)?, 4)?;
        holds("it ends", following.next_event().await.is_none())
    })
}
