//! What is durable when it is acknowledged, and what relaxed appends may lose: the end of the store, never a gap.

use super::case::{CaseOutcome, cases};
use super::checks::{
    crashed, empty, equal, everything, holds, in_tasks, number, numbered, numbers, reopened, run_of, some,
};
use super::home::Home;
use crate::event::{Event, Expect};
use crate::follow::Follow;
use crate::store::{Batch, Builder, Durability, Store};

cases! { "durability":
    a_relaxed_append_is_readable_and_followed_at_once,
    relaxed_and_durable_appends_share_one_order,
    closing_makes_relaxed_appends_durable,
    a_crash_takes_only_the_last_relaxed_appends,
    a_durable_append_makes_the_relaxed_ones_before_it_durable,
}

fn relaxed(store: &Store, n: u64) -> crate::error::Result<u64> {
    let batch = Batch::new().add("s", Expect::Any, numbered(n))?.durability(Durability::Relaxed);
    Ok(store.append_batch(batch)?.position().get())
}

fn a_relaxed_append_is_readable_and_followed_at_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let mut following = store.follow(Follow::all())?;
        for n in 1..=5 {
            equal("its position", relaxed(&store, n)?, n)?;
            equal("the head", store.head("s")?.get(), n)?;
            equal("events read", everything(&store)?.len() as u64, n)?;
            let event = some("next event", following.next_event().await)??;
            equal("what is followed", number(&event)?, n)?;
        }
        Ok(())
    })
}

fn relaxed_and_durable_appends_share_one_order(home: &mut dyn Home) -> CaseOutcome {
    let store = home.create(Builder::new().durability(Durability::Relaxed))?;
    for n in 0..30 {
        match n % 3 {
            0 => store.append("s", numbered(n)).map(drop)?,
            1 => relaxed(&store, n).map(drop)?,
            _ => {
                let batch = Batch::new().add("s", Expect::Head(n.into()), numbered(n))?;
                store.append_batch(batch.durability(Durability::Durable)).map(drop)?;
            }
        }
    }
    equal("events read", numbers(&everything(&store)?)?, (0..30).collect())
}

fn closing_makes_relaxed_appends_durable(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new().durability(Durability::Relaxed);
    let store = home.create(settings.clone())?;
    store.append("s", run_of(1..=3))?;
    store.append("s", numbered(4))?;
    let before = everything(&store)?;
    let store = reopened(home, store, &settings)?;
    equal("events stored", everything(&store)?, before)
}

fn a_crash_takes_only_the_last_relaxed_appends(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let mut store = home.create(settings.clone())?;
    for round in 0..5 {
        store.append("s", run_of(round * 10..round * 10 + 3))?;
        let acknowledged = store.committed().get();
        for n in 3..6 {
            relaxed(&store, round * 10 + n)?;
        }
        let before = everything(&store)?;
        let found = crashed(home, &settings)?;
        let left = everything(&found)?;
        holds("what was durable is there", left.len() as u64 >= acknowledged)?;
        equal("what is left", &*left, before.get(..left.len()).unwrap_or_default())?;
        equal("committed", found.committed().get(), left.len() as u64)?;
        store = found;
    }
    Ok(())
}

fn a_durable_append_makes_the_relaxed_ones_before_it_durable(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    for n in 1..=3 {
        relaxed(&store, n)?;
    }
    store.append("t", numbered(4))?;
    let before: Vec<Event> = everything(&store)?;
    let found = crashed(home, &settings)?;
    equal("events stored", everything(&found)?, before)?;
    equal("the next position", found.append("t", numbered(5))?.position().get(), 5)
}
