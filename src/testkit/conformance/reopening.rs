//! Stores that are opened again after closing or a crash.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    crashed, equal, everything, holds, in_tasks, numbered, numbers, read, refused, reopened, run_of, some,
};
use super::home::Home;
use crate::consumer::ConsumerConfig;
use crate::error::{Error, Result};
use crate::event::{BranchName, Event, Expect, Sequence, SessionId, StoreId, Timestamp};
use crate::follow::{Cursor, Follow};
use crate::store::{BranchInfo, Builder, Query, SessionInfo, Store};

cases! { "reopening":
    a_store_is_the_same_when_it_is_opened_again,
    appends_continue_where_they_were,
    a_store_reopened_many_times_keeps_everything,
    a_read_only_store_reads_everything_and_refuses_writes,
    a_cursor_resumes_after_reopening,
    acknowledged_appends_survive_a_crash,
    a_crash_amid_appends_leaves_a_prefix_of_them,
}

/// Everything that can be read from a store.
#[derive(Clone, Debug, PartialEq)]
struct StoreContents {
    id: StoreId,
    created: Timestamp,
    committed: u64,
    sessions: Vec<SessionInfo>,
    branches: Vec<BranchInfo>,
    ancestries: Vec<Vec<(BranchName, Sequence)>>,
    events: Vec<Event>,
    histories: Vec<Vec<Event>>,
}

fn contents(store: &Store) -> Result<StoreContents> {
    let sessions = store.sessions(None, 1_000)?;
    let (mut branches, mut ancestries, mut histories) = (Vec::new(), Vec::new(), Vec::new());
    for info in &sessions {
        for branch in store.branches(&info.session)? {
            ancestries.push(store.ancestry(&branch.place)?);
            histories.push(read(store, Query::branch(&branch.place)?)?);
            histories.push(read(store, Query::branch(&branch.place)?.reverse())?);
            branches.push(branch);
        }
        histories.push(read(store, Query::session(&info.session)?)?);
    }
    Ok(StoreContents {
        id: store.id(),
        created: store.created(),
        committed: store.committed().get(),
        sessions,
        branches,
        ancestries,
        events: everything(store)?,
        histories,
    })
}

/// Sessions, forks of forks, an empty branch, a current branch, numbered by the round.
fn fill(store: &Store, round: u64) -> Result<()> {
    let (session, n) = (format!("s{round}"), round * 1_000);
    store.append(session.as_str(), run_of(n..n + 20))?;
    store.fork(format!("{session}@12").as_str(), "b")?;
    store.append(format!("{session}/b").as_str(), run_of(n + 20..n + 25))?;
    store.fork(format!("{session}/b@15").as_str(), "c")?;
    store.append(format!("{session}/c").as_str(), numbered(n + 25))?;
    store.fork(session.as_str(), "empty")?;
    store.set_current(&SessionId::new(session.as_str())?, &BranchName::new("b")?)?;
    store.append("shared", run_of(n + 26..n + 29))?;
    Ok(())
}

fn a_store_is_the_same_when_it_is_opened_again(home: &mut dyn Home) -> CaseOutcome {
    // Once with most of it flushed during the test, in an engine that flushes, and once with nothing flushed.
    for settings in [Builder::new(), Builder::new().flush_after(10, 1 << 20)] {
        let store = home.create(settings.clone())?;
        fill(&store, 0)?;
        fill(&store, 1)?;
        let before = contents(&store)?;
        let store = reopened(home, store, &settings)?;
        equal("contents", contents(&store)?, before)?;
        for event in everything(&store)? {
            equal("an event by its id", store.get(event.id())?, event)?;
        }
    }
    Ok(())
}

fn appends_continue_where_they_were(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store, 0)?;
    let last = some("event", everything(&store)?.pop())?;
    let store = reopened(home, store, &settings)?;
    refused!(store.append_if("s0", Expect::Empty, numbered(1)), Error::Conflict { .. });
    refused!(store.fork("s0", "b"), Error::Exists { .. });
    let receipt = store.append_if("s0", Expect::Head(20.into()), numbered(1))?;
    equal("its position", receipt.position(), last.position().next())?;
    let new = some("event", everything(&store)?.pop())?;
    holds("time goes on", new.recorded() >= last.recorded())?;
    store.append("s0/empty", numbered(2))?;
    equal("the fork of before", store.head("s0/empty")?.get(), 21)
}

fn a_store_reopened_many_times_keeps_everything(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new().flush_after(16, 1 << 20);
    let mut store = home.create(settings.clone())?;
    for round in 0..6 {
        fill(&store, round)?;
        let before = contents(&store)?;
        store = reopened(home, store, &settings)?;
        equal("contents", contents(&store)?, before)?;
    }
    equal("committed", store.committed().get(), 6 * 29)
}

fn a_read_only_store_reads_everything_and_refuses_writes(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store, 0)?;
    let before = contents(&store)?;
    let store = reopened(home, store, &settings.clone().read_only())?;
    equal("contents", contents(&store)?, before)?;
    let (session, hour) = (SessionId::new("s0")?, std::time::Duration::from_secs(3_600));
    refused!(store.append("s0", numbered(1)), Error::ReadOnly { .. });
    refused!(store.append("new", numbered(1)), Error::ReadOnly { .. });
    refused!(store.fork("s0", "d"), Error::ReadOnly { .. });
    refused!(store.promote("s0/c"), Error::ReadOnly { .. });
    refused!(store.set_current(&session, &BranchName::main()), Error::ReadOnly { .. });
    refused!(store.timers().schedule("s0", numbered(1), hour), Error::ReadOnly { .. });
    in_tasks(async {
        refused!(store.append_async("s0", numbered(1)).await, Error::ReadOnly { .. });
        refused!(store.fork_async("s0", "d").await, Error::ReadOnly { .. });
        refused!(store.consumers().open("c", ConsumerConfig::new()).await, Error::ReadOnly { .. });
        let mut following = store.follow(Follow::all())?;
        for event in everything(&store)? {
            equal("what is followed", some("next event", following.next_event().await)??, event)?;
        }
        Ok(())
    })?;
    let before = contents(&store)?;
    let store = reopened(home, store, &settings)?;
    equal("contents for a writer", contents(&store)?, before)?;
    store.append("s0", numbered(1))?;
    Ok(())
}

fn a_cursor_resumes_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store, 0)?;
    let cursor = in_tasks(async {
        let mut following = store.follow(Follow::branch("s0/b")?)?;
        let mut cursor: Option<Cursor> = None;
        for _ in 0..5 {
            cursor = Some(some("item", following.next().await)??.cursor());
        }
        some("cursor", cursor)
    })?;
    let due = read(&store, Query::branch("s0/b")?.from(6u64))?;
    let store = reopened(home, store, &settings)?;
    in_tasks(async {
        let mut following = store.follow(Follow::branch("s0/b")?.cursor(cursor))?;
        for event in due {
            equal("after the cursor", some("next event", following.next_event().await)??, event)?;
        }
        Ok(())
    })
}

fn acknowledged_appends_survive_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new().flush_after(20, 1 << 20);
    let mut store = home.create(settings.clone())?;
    for round in 0..6 {
        fill(&store, round)?;
        let before = contents(&store)?;
        // It crashes, and crashes again before doing anything.
        for _ in 0..2 {
            store = crashed(home, &settings)?;
            equal("contents", contents(&store)?, before.clone())?;
        }
    }
    Ok(())
}

fn a_crash_amid_appends_leaves_a_prefix_of_them(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new().flush_after(20, 1 << 20);
    let mut store = home.create(settings.clone())?;
    let mut next = 0;
    for _ in 0..8 {
        let acknowledged = AtomicU64::new(next);
        let stop = AtomicBool::new(false);
        let found = std::thread::scope(|scope| -> Result<Store, Stop> {
            let writer = scope.spawn(|| -> CaseOutcome {
                let mut n = next;
                while !stop.load(Ordering::SeqCst) {
                    store.append("s", run_of(n..n + 2))?;
                    n += 2;
                    acknowledged.store(n, Ordering::SeqCst);
                }
                Ok(())
            });
            while acknowledged.load(Ordering::SeqCst) < next + 10 && !writer.is_finished() {
                std::thread::yield_now();
            }
            let sure = acknowledged.load(Ordering::SeqCst);
            let found = crashed(home, &settings);
            stop.store(true, Ordering::SeqCst);
            writer.join().unwrap_or_else(|_| Err(Stop::failed("the writer panicked")))?;
            let found = found?;
            holds("what was acknowledged is there", found.committed().get() >= sure)?;
            Ok(found)
        })?;
        let left = found.committed().get();
        equal("batches are whole", left % 2, 0)?;
        equal("what is left", numbers(&read(&found, Query::branch("s")?)?)?, (0..left).collect())?;
        next = left;
        store = found;
    }
    Ok(())
}
