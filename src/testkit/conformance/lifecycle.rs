//! Branches that are closed take nothing more.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    at_once, empty, equal, everything, holds, in_tasks, next_event, number, numbered, numbers, of_branch,
    read, refused, reopened, run_of, some, stays_after_a_crash,
};
use super::home::Home;
use crate::consumer::ConsumerConfig;
use crate::error::{Error, Result};
use crate::event::{Expect, SessionId};
use crate::follow::{Follow, Followed, Following};
use crate::store::{Batch, Builder, Query, Store};

cases! { "lifecycle":
    a_closed_branch_takes_no_more_events,
    a_closed_branch_is_read_and_forked,
    what_was_appended_before_it_was_closed_is_still_known,
    closing_again_says_when_it_was_closed,
    what_is_not_there_is_not_closed,
    followers_of_a_closed_branch_end_after_its_last_event,
    a_consumer_gets_what_was_appended_before_its_branch_was_closed,
    nothing_is_appended_after_a_close_that_was_answered,
    a_closed_branch_is_closed_when_the_store_is_opened_again,
    a_closed_branch_is_closed_after_a_crash,
}

fn a_closed_branch_takes_no_more_events(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    store.append("s/b", numbered(4))?;
    let closed = store.lifecycle().close("s/b")?;
    equal("its end", (closed.head.get(), closed.events, closed.closed.is_some()), (3, 1, true))?;
    refused!(store.append("s/b", numbered(5)), Error::BranchClosed { place, .. } if place.to_string() == "s/b");
    refused!(store.append_if("s/b", Expect::Head(3.into()), numbered(5)), Error::BranchClosed { .. });
    refused!(store.append_if("s/b", Expect::Head(9.into()), numbered(5)), Error::BranchClosed { .. });
    refused!(store.append_if("s/b", Expect::Empty, numbered(5)), Error::BranchClosed { .. });
    // All of a batch or nothing.
    let batch = Batch::new().add("s", Expect::Any, numbered(5))?.add("s/b", Expect::Any, numbered(6))?;
    refused!(store.append_batch(batch), Error::BranchClosed { .. });
    equal("the branch", of_branch(&store, "s/b")?, vec![1, 2, 4])?;
    // Its parent and its session go on.
    store.append("s", numbered(7))?;
    equal("the parent", of_branch(&store, "s")?, vec![1, 2, 3, 7])?;
    // What is promoted to a closed branch is refused.
    store.fork("s", "c")?;
    store.append("s/c", numbered(8))?;
    store.lifecycle().close("s")?;
    refused!(store.promote("s/c"), Error::BranchClosed { .. });
    let listed = store.branches(&SessionId::new("s")?)?;
    let listed: Vec<_> =
        listed.into_iter().map(|b| (b.place.branch.to_string(), b.closed.is_some())).collect();
    let due = [("b", true), ("c", false), ("main", true)];
    equal("listed", listed, due.map(|(name, closed)| (name.to_owned(), closed)).into())
}

fn a_closed_branch_is_read_and_forked(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.lifecycle().close("s")?;
    equal("its events", of_branch(&store, "s")?, vec![1, 2, 3])?;
    equal("its head", store.head("s")?.get(), 3)?;
    let fork = store.fork("s", "b")?;
    holds("a fork of it is open", fork.closed.is_none())?;
    store.append("s/b", numbered(4))?;
    store.fork("s@1", "c")?;
    store.append("s/c", numbered(5))?;
    equal("a fork", of_branch(&store, "s/b")?, vec![1, 2, 3, 4])?;
    equal("another fork", of_branch(&store, "s/c")?, vec![1, 5])?;
    equal("the session", numbers(&read(&store, Query::session("s")?)?)?, vec![1, 2, 3, 4, 5])?;
    // An empty branch may be closed as well, and other branches of its session begin.
    store.fork("s@0", "d")?;
    store.lifecycle().close("s/d")?;
    refused!(store.append_if("s/d", Expect::Empty, numbered(6)), Error::BranchClosed { .. });
    store.append_if("s/e", Expect::Empty, numbered(6))?;
    equal("one that begins", of_branch(&store, "s/e")?, vec![6])
}

fn what_was_appended_before_it_was_closed_is_still_known(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    let first = store.append("s", event.clone())?;
    store.lifecycle().close("s")?;
    let again = store.append("s", event.clone())?;
    equal("a repetition", (again.parts(), again.duplicate()), (first.parts(), true))?;
    refused!(store.append("t", event), Error::Duplicate { .. });
    Ok(())
}

fn closing_again_says_when_it_was_closed(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    let first = store.lifecycle().close("s")?;
    store.append("t", numbered(2))?;
    let other = home.beside(&store)?;
    equal("again", other.lifecycle().close("s")?, first.clone())?;
    equal("as it is listed", store.branch("s")?, first)
}

fn what_is_not_there_is_not_closed(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(store.lifecycle().close("s"), Error::NotFound { what: "session", .. });
    store.append("s", numbered(1))?;
    refused!(store.lifecycle().close("s/b"), Error::NotFound { what: "branch", .. });
    refused!(store.lifecycle().close("s@1"), Error::Invalid(_));
    refused!(store.lifecycle().close("s/"), Error::Invalid(_));
    store.append("s", numbered(2))?;
    in_tasks(async {
        refused!(store.lifecycle().close_async("t").await, Error::NotFound { .. });
        let closed = store.lifecycle().close_async("s").await?;
        holds("it is closed", closed.closed.is_some())
    })
}

/// What comes until the end.
async fn rest(following: &mut Following) -> Result<(Vec<u64>, usize), Stop> {
    let (mut found, mut caught_up) = (Vec::new(), 0);
    while let Some(item) = following.next().await {
        match item? {
            Followed::Event { event, .. } => found.push(number(&event)?),
            _ => caught_up += 1,
        }
    }
    Ok((found, caught_up))
}

fn followers_of_a_closed_branch_end_after_its_last_event(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    let other = home.beside(&store)?;
    in_tasks(async {
        // One waits, and so does one of another handle.
        let mut waiting = store.follow(Follow::branch("s")?)?;
        let mut elsewhere = other.follow(Follow::branch("s")?.from_end())?;
        let mut of_fork = store.follow(Follow::branch("s/b")?)?;
        let mut of_session = store.follow(Follow::session("s")?)?;
        for n in 1..=3 {
            equal("the next event", number(&next_event(&mut waiting).await?)?, n)?;
            equal("the next of the session", number(&next_event(&mut of_session).await?)?, n)?;
        }
        store.append_async("s", numbered(4)).await?;
        store.lifecycle().close_async("s").await?;
        equal("the one that waits", rest(&mut waiting).await?, (vec![4], 1))?;
        equal("the one elsewhere", rest(&mut elsewhere).await?, (vec![4], 1))?;
        // One that comes later gets everything, then ends.
        let mut late = store.follow(Follow::branch("s")?)?;
        equal("one that comes later", rest(&mut late).await?, (vec![1, 2, 3, 4], 1))?;
        let mut after = other.follow(Follow::branch("s")?.from_end())?;
        equal("one that comes at the end", rest(&mut after).await?, (vec![], 1))?;
        // A fork goes on, and so do its session and everything.
        store.append_async("s/b", numbered(5)).await?;
        for n in [1, 2, 5] {
            equal("the next of the fork", number(&next_event(&mut of_fork).await?)?, n)?;
        }
        for n in [4, 5] {
            equal("the next of the session", number(&next_event(&mut of_session).await?)?, n)?;
        }
        Ok(())
    })
}

fn a_consumer_gets_what_was_appended_before_its_branch_was_closed(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    store.lifecycle().close("s")?;
    store.append("t", numbered(3))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await?;
        let mut found = Vec::new();
        for _ in 0..3 {
            let delivery = consumer.next().await?;
            found.push(number(delivery.event())?);
            delivery.ack().await?;
        }
        found.sort_unstable();
        equal("delivered", found, vec![1, 2, 3])?;
        // A result for a closed branch is refused, and the delivery is not lost.
        store.append_async("t", numbered(4)).await?;
        let delivery = consumer.next().await?;
        let result = Batch::new().add("s", Expect::Any, numbered(5))?;
        refused!(delivery.ack_with(result).await, Error::BranchClosed { .. });
        delivery.ack().await?;
        Ok(())
    })
}

fn nothing_is_appended_after_a_close_that_was_answered(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    for round in 0..10 {
        let session = format!("s{round}");
        store.append(session.as_str(), numbered(0))?;
        let answers = at_once(4, |thread| -> Result<Option<u64>> {
            if thread == 0 {
                return store.lifecycle().close(session.as_str()).map(|closed| Some(closed.head.get()));
            }
            for n in 0..20 {
                match store.append(session.as_str(), numbered(n)) {
                    Ok(_) => {}
                    Err(Error::BranchClosed { .. }) => return Ok(None),
                    Err(e) => return Err(e),
                }
            }
            Ok(None)
        })?;
        let answers: Vec<Option<u64>> = answers.into_iter().collect::<Result<_>>()?;
        let head = some("answer to the close", answers.into_iter().flatten().next())?;
        equal("where it ends", store.head(session.as_str())?.get(), head)?;
    }
    Ok(())
}

/// Closed with events in the journal and in the tables, by its first commit or a later one.
fn closed_in_many_ways(store: &Store, flushes: bool) -> CaseOutcome {
    store.append("flushed", run_of(1..=3))?;
    if flushes {
        store.maintenance().flush()?;
    }
    store.append("in-journal", run_of(4..=5))?;
    store.lifecycle().close("flushed")?;
    store.lifecycle().close("in-journal")?;
    if flushes {
        store.maintenance().flush()?;
    }
    store.append("late", numbered(6))?;
    store.lifecycle().close("late")?;
    Ok(())
}

fn is_closed(store: &Store) -> CaseOutcome {
    equal("the events", numbers(&everything(store)?)?, vec![1, 2, 3, 4, 5, 6])?;
    for (session, events) in [("flushed", vec![1, 2, 3]), ("in-journal", vec![4, 5]), ("late", vec![6])] {
        refused!(store.append(session, numbered(9)), Error::BranchClosed { .. });
        equal(session, of_branch(store, session)?, events)?;
        holds("it is listed as closed", store.branch(session)?.closed.is_some())?;
    }
    store.append("new", numbered(7))?;
    store.fork("flushed@2", "b")?;
    store.append("flushed/b", numbered(8))?;
    equal("a fork", of_branch(store, "flushed/b")?, vec![1, 2, 8])
}

fn a_closed_branch_is_closed_when_the_store_is_opened_again(home: &mut dyn Home) -> CaseOutcome {
    let flushes = home.has_maintenance();
    let store = empty(home)?;
    closed_in_many_ways(&store, flushes)?;
    let store = reopened(home, store, &Builder::new())?;
    is_closed(&store)?;
    if flushes {
        let report = store.maintenance().verify()?;
        holds("it verifies", report.is_clean())?;
    }
    Ok(())
}

fn a_closed_branch_is_closed_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    stays_after_a_crash(home, closed_in_many_ways, is_closed)
}
