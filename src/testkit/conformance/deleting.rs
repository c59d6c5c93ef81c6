//! Branches that are deleted are gone but for their forks, and what nobody has any more is removed.

use std::str::FromStr;
use std::time::Duration;

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    delivered, empty, equal, everything, holds, in_tasks, next_event, number, numbered, numbers, of_branch,
    read, refused, reopened, run_of, stays_after_a_crash,
};
use super::home::{Capability, Home};
use crate::consumer::ConsumerConfig;
use crate::delivery::Owner;
use crate::error::Error;
use crate::event::{Address, Expect, Place, SessionId};
use crate::follow::{Follow, Followed};
use crate::store::{Batch, BranchChange, Builder, Change, Commit, Query, Store};

cases! { "deleting":
    a_deleted_branch_is_in_no_listing_and_not_read,
    forks_of_a_deleted_branch_read_what_they_inherit,
    the_name_of_a_deleted_branch_begins_anew,
    the_ids_of_a_deleted_branch_are_free,
    a_session_is_deleted_as_a_whole,
    what_was_decided_for_a_branch_does_not_hit_the_next_of_its_name,
    what_is_not_there_or_deleted_is_not_deleted,
    followers_of_a_deleted_branch_are_told,
    a_consumer_passes_over_what_is_deleted,
    what_is_deleted_and_truncated_is_so_after_reopening,
    what_is_deleted_and_truncated_is_so_after_a_crash,
    purging_removes_what_nobody_has_once,
    timers_of_a_deleted_branch_do_not_fire,
    what_is_kept_beside_a_deleted_branch_goes_with_it,
    a_deleted_branch_is_not_the_current_one_again_when_its_name_is,
    what_is_appended_to_one_branch_goes_to_no_other_of_its_name,
    what_has_gone_on_is_not_deleted_for_where_it_ended,
}

fn a_deleted_branch_is_in_no_listing_and_not_read(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let session = SessionId::new("s")?;
    store.append("s", run_of(1..=3))?;
    store.append("t", numbered(4))?;
    store.fork("s@2", "b")?;
    let own = numbered(5);
    store.append("s/b", own.clone())?;
    let other = home.beside(&store)?;
    equal("seen elsewhere", of_branch(&other, "s/b")?, vec![1, 2, 5])?;
    store.lifecycle().delete("s/b")?;
    for store in [&store, &other] {
        refused!(store.head("s/b"), Error::Deleted { place, .. } if place.to_string() == "s/b");
        refused!(store.branch("s/b"), Error::Deleted { .. });
        refused!(store.read(&Query::branch("s/b")?), Error::Deleted { .. });
        refused!(read(store, Query::branch("s/b")?), Error::Deleted { .. });
        refused!(store.ancestry("s/b"), Error::Deleted { .. });
        refused!(store.fork("s/b", "c"), Error::Deleted { .. });
        refused!(store.promote("s/b"), Error::Deleted { .. });
        refused!(store.diff("s", "s/b"), Error::Deleted { .. });
        refused!(store.append("s/b", numbered(6)), Error::Deleted { .. });
        refused!(store.lifecycle().close("s/b"), Error::Deleted { .. });
        refused!(store.lifecycle().truncate("s/b", 2), Error::Deleted { .. });
        refused!(store.follow(Follow::branch("s/b")?), Error::Deleted { .. });
        refused!(store.get(own.id()), Error::NotFound { .. });
        let listed = store.branches(&session)?.into_iter().map(|b| b.place.branch.to_string());
        equal("branches", listed.collect::<Vec<_>>(), vec!["main".to_owned()])?;
        equal("the session", numbers(&read(store, Query::session("s")?)?)?, vec![1, 2, 3])?;
        equal("everything", numbers(&everything(store)?)?, vec![1, 2, 3, 4])?;
        equal("its parent", of_branch(store, "s")?, vec![1, 2, 3])?;
    }
    store.lifecycle().delete("s")?;
    let sessions: Vec<String> = store.sessions(None, 1)?.into_iter().map(|s| s.session.to_string()).collect();
    equal("sessions", sessions, vec!["t".to_owned()])?;
    refused!(store.branches(&session), Error::NotFound { .. });
    refused!(store.read(&Query::session("s")?), Error::NotFound { .. });
    // Positions are never given twice.
    store.append("t", numbered(7))?;
    equal("the last position", store.committed().get(), 6)
}

fn forks_of_a_deleted_branch_read_what_they_inherit(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    store.append("s/b", numbered(4))?;
    store.fork("s/b", "c")?;
    store.append("s/c", numbered(5))?;
    store.lifecycle().delete("s")?;
    equal("a fork", of_branch(&store, "s/b")?, vec![1, 2, 4])?;
    store.lifecycle().delete("s/b")?;
    equal("a fork of it", of_branch(&store, "s/c")?, vec![1, 2, 4, 5])?;
    if home.has_maintenance() {
        store.lifecycle().purge()?;
    }
    equal("after a purge", of_branch(&store, "s/c")?, vec![1, 2, 4, 5])?;
    let turned: Vec<u64> = numbers(&read(&store, Query::branch("s/c")?.reverse())?)?;
    equal("in reverse", turned, vec![5, 4, 2, 1])?;
    let deep = store.fork("s/c@1", "d")?;
    equal("a fork of what is inherited", deep.head.get(), 1)?;
    store.append("s/d", numbered(6))?;
    equal("the fork of it", of_branch(&store, "s/d")?, vec![1, 6])?;
    equal("the session is there", store.sessions(None, 10)?.len(), 1)?;
    let current = store.current(&SessionId::new("s")?)?;
    equal("its current branch is main as before", current.to_string(), "main".to_owned())
}

fn the_name_of_a_deleted_branch_begins_anew(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s", "b")?;
    let other = home.beside(&store)?;
    let cursor = in_tasks(async {
        let mut following = other.follow(Follow::branch("s")?)?;
        next_event(&mut following).await?;
        match following.next().await {
            Some(Ok(Followed::Event { cursor, .. })) => Ok(cursor),
            item => Err(Stop::failed(format!("{item:?} where an event was due"))),
        }
    })?;
    store.lifecycle().delete("s")?;
    refused!(store.append_if("s", Expect::Head(3.into()), numbered(4)), Error::Conflict { .. });
    let begun = store.append_if("s", Expect::Empty, numbered(4))?;
    equal("its first sequence", begun.first().get(), 1)?;
    for store in [&store, &other] {
        equal("what it has", of_branch(store, "s")?, vec![4])?;
        equal("the fork of the one before", of_branch(store, "s/b")?, vec![1, 2, 3])?;
        refused!(store.follow(Follow::branch("s")?.cursor(cursor)), Error::BadCursor { .. });
    }
    // A fork may have the name as well, also of itself.
    store.lifecycle().delete("s/b")?;
    refused!(store.append("s/b", numbered(5)), Error::Deleted { .. });
    store.append_if("s/b", Expect::Empty, numbered(5))?;
    equal("one that begins", of_branch(&store, "s/b")?, vec![5])?;
    store.lifecycle().delete("s/b")?;
    store.fork("s", "b")?;
    equal("one that is forked", of_branch(&other, "s/b")?, vec![4])?;
    store.lifecycle().delete("s")?;
    store.fork("s@0", "c")?;
    equal("main begins with it", store.head("s")?.get(), 0)?;
    equal("branches", store.branches(&SessionId::new("s")?)?.len(), 3)
}

fn the_ids_of_a_deleted_branch_are_free(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let [one, two] = [numbered(1), numbered(2)];
    store.append("s", [one.clone(), two.clone()])?;
    store.fork("s@1", "b")?;
    let flushes = home.has_maintenance();
    if flushes {
        store.maintenance().flush()?;
    }
    refused!(store.append("t", one.clone()), Error::Duplicate { .. });
    store.lifecycle().delete("s")?;
    // While a fork has the event, nobody takes it again.
    refused!(store.append("s/b", one.clone()), Error::Duplicate { .. });
    refused!(store.append("s", [one.clone(), two.clone()]), Error::Duplicate { .. });
    let again = store.append("s", two.clone())?;
    equal("it is new", (again.duplicate(), again.first().get()), (false, 1))?;
    if flushes {
        store.maintenance().flush()?;
        store.lifecycle().purge()?;
    }
    equal("whose it is now", store.get(two.id())?.position().get(), 3)?;
    holds("a repetition", store.append("s", two)?.duplicate())?;
    equal("the fork", of_branch(&store, "s/b")?, vec![1])?;
    store.lifecycle().delete("s/b")?;
    equal("it is free as well", store.append("t", one)?.duplicate(), false)
}

fn a_session_is_deleted_as_a_whole(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let session = SessionId::new("s")?;
    refused!(store.lifecycle().delete_session(&session), Error::NotFound { .. });
    store.append("s", run_of(1..=3))?;
    store.fork("s", "b")?;
    store.fork("s/b@1", "c")?;
    store.append("t", numbered(4))?;
    equal("branches", store.lifecycle().delete_session(&session)?, 3)?;
    refused!(store.lifecycle().delete_session(&session), Error::NotFound { .. });
    equal("everything", numbers(&everything(&store)?)?, vec![4])?;
    in_tasks(async {
        equal("of another", store.lifecycle().delete_session_async(&SessionId::new("t")?).await?, 1)?;
        holds("nothing is left", store.sessions(None, 10)?.is_empty())
    })
}

fn what_was_decided_for_a_branch_does_not_hit_the_next_of_its_name(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.append("t", numbered(2))?;
    let other = home.beside(&store)?;
    let seen = |store: &Store, name: &str| -> Result<Vec<(Place, u64)>, Stop> {
        let branches = store.reader()?.branches_of(&SessionId::new(name)?)?;
        Ok(branches.iter().map(|branch| ((*branch.place).clone(), branch.number)).collect())
    };
    let changes = |seen: &[(Place, u64)], what| {
        let change = |(place, number): &(Place, u64)| BranchChange {
            place: place.clone(),
            number: Some(*number),
            head: None,
            what,
        };
        Commit::Change(seen.iter().map(change).collect())
    };
    let before = [seen(&other, "s")?, seen(&other, "t")?].concat();
    store.lifecycle().delete("s")?;
    for anew in [false, true] {
        if anew {
            store.append("s", numbered(3))?;
        }
        for store in [&store, &other] {
            for what in [Change::Delete, Change::Close, Change::Truncate { before: 2.into() }] {
                let refused = store.inner().engine().commit(changes(&before, what));
                refused!(refused, Error::Deleted { place, .. } if place.session.as_str() == "s");
            }
        }
    }
    equal("what has the name now", of_branch(&other, "s")?, vec![3])?;
    equal("what was named beside it", of_branch(&other, "t")?, vec![2])?;
    let now = seen(&other, "s")?;
    other.inner().engine().commit(changes(&now, Change::Delete))?;
    refused!(store.head("s"), Error::Deleted { .. });
    Ok(())
}

fn what_is_appended_to_one_branch_goes_to_no_other_of_its_name(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.fork("s", "b")?;
    let other = home.beside(&store)?;
    let number = |name: &str| -> Result<u64, Stop> {
        Ok(store.reader()?.branch(Address::from_str(name)?.place())?.number)
    };
    let append = |store: &Store, name: &str, branch: u64, n| -> crate::error::Result<()> {
        let batch =
            Batch::new().add("t", Expect::Any, numbered(n))?.add(name, Expect::Any, numbered(n + 1))?;
        store.append_batch(batch.only_number(Some(branch))).map(drop)
    };
    let (main, fork) = (number("s")?, number("s/b")?);
    append(&store, "s", main, 2)?;
    append(&other, "s/b", fork, 4)?;
    refused!(append(&store, "s", fork, 6), Error::Deleted { .. });
    refused!(append(&other, "s/c", fork, 6), Error::NotFound { what: "branch", .. });
    store.lifecycle().delete("s")?;
    // Neither to what is gone, nor to what begins under its name, and nothing begins.
    for store in [&store, &other] {
        refused!(append(store, "s", main, 6), Error::Deleted { .. });
        refused!(store.head("s"), Error::Deleted { .. });
    }
    store.append("s", numbered(8))?;
    for store in [&store, &other] {
        refused!(append(store, "s", main, 6), Error::Deleted { place, .. } if place.session.as_str() == "s");
    }
    append(&other, "s", number("s")?, 9)?;
    equal("what has the name now", of_branch(&store, "s")?, vec![8, 10])?;
    equal("the fork", of_branch(&store, "s/b")?, vec![1, 5])?;
    // All of a batch or nothing.
    equal("beside it", of_branch(&store, "t")?, vec![2, 4, 9])
}

fn what_has_gone_on_is_not_deleted_for_where_it_ended(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    store.append("t", numbered(3))?;
    let other = home.beside(&store)?;
    let seen = |name: &str, head| -> Result<BranchChange, Stop> {
        let branch = store.reader()?.branch(Address::from_str(name)?.place())?;
        let place = (*branch.place).clone();
        Ok(BranchChange { place, number: Some(branch.number), head: Some(head), what: Change::Delete })
    };
    for store in [&store, &other] {
        let changes = Commit::Change(vec![seen("t", 1)?, seen("s", 1)?]);
        let refused = store.inner().engine().commit(changes);
        refused!(refused, Error::Conflict { actual, .. } if actual.get() == 2);
        equal("unchanged", (store.head("s")?.get(), store.head("t")?.get()), (2, 1))?;
    }
    other.inner().engine().commit(Commit::Change(vec![seen("t", 1)?, seen("s", 2)?]))?;
    refused!(store.head("s"), Error::Deleted { .. });
    Ok(())
}

fn what_is_not_there_or_deleted_is_not_deleted(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(store.lifecycle().delete("s"), Error::NotFound { what: "session", .. });
    store.append("s", run_of(1..=2))?;
    refused!(store.lifecycle().delete("s/b"), Error::NotFound { what: "branch", .. });
    refused!(store.lifecycle().delete("s@1"), Error::Invalid(_));
    store.lifecycle().close("s")?;
    store.lifecycle().delete("s")?;
    refused!(store.lifecycle().delete("s"), Error::Deleted { .. });
    store.append("s", numbered(3))?;
    holds("what begins anew is not closed", store.branch("s")?.closed.is_none())?;
    in_tasks(async {
        store.lifecycle().delete_async("s").await?;
        refused!(store.lifecycle().delete_async("s").await, Error::Deleted { .. });
        Ok(())
    })
}

fn followers_of_a_deleted_branch_are_told(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    let other = home.beside(&store)?;
    in_tasks(async {
        let mut following = store.follow(Follow::branch("s")?)?;
        let mut elsewhere = other.follow(Follow::branch("s")?.from_end())?;
        let mut all = store.follow(Follow::all())?;
        for n in 1..=2 {
            equal("the next event", number(&next_event(&mut following).await?)?, n)?;
            equal("the next of all", number(&next_event(&mut all).await?)?, n)?;
        }
        store.lifecycle().delete_async("s").await?;
        store.append_async("s", run_of(3..=7)).await?;
        for following in [&mut following, &mut elsewhere] {
            let told = loop {
                match following.next().await {
                    Some(Ok(Followed::CaughtUp { .. })) => {}
                    item => break item,
                }
            };
            holds("it is told", matches!(told, Some(Err(Error::Deleted { .. }))))?;
            holds("that is the end", following.next().await.is_none())?;
        }
        for n in 3..=7 {
            equal("who follows everything goes on", number(&next_event(&mut all).await?)?, n)?;
        }
        // One that begins later is told that positions are missing.
        let mut late = other.follow(Follow::all())?;
        let first = late.next().await;
        holds("a gap", matches!(first, Some(Ok(Followed::Gap { first: 3, .. }))))?;
        equal("what is left", number(&next_event(&mut late).await?)?, 3)?;
        let mut waiting = store.follow(Follow::branch("u")?.wait_for_start())?;
        store.append_async("u", numbered(8)).await?;
        equal("one that waited", number(&next_event(&mut waiting).await?)?, 8)
    })
}

fn a_consumer_passes_over_what_is_deleted(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await?;
        let out = consumer.next().await?;
        equal("delivered", number(out.event())?, 1)?;
        store.lifecycle().delete_async("s").await?;
        store.append_async("s", run_of(4..=5)).await?;
        store.append_async("t", numbered(6)).await?;
        // What was delivered is resolved as ever.
        out.ack().await?;
        let mut found = delivered(&consumer, 3).await?;
        found.sort_unstable();
        let gone: Vec<u64> = found.iter().copied().filter(|n| [2, 3].contains(n)).collect();
        // What was read before it was deleted may still come.
        holds("nothing is lost", gone.len() < 3)?;
        let rest = if gone.is_empty() { Vec::new() } else { delivered(&consumer, gone.len()).await? };
        let mut all: Vec<u64> = found.into_iter().chain(rest).filter(|n| *n > 3).collect();
        all.sort_unstable();
        equal("delivered", all, vec![4, 5, 6])?;
        // One that begins now gets what is there, and then has everything.
        let late = store.consumers().open("late", ConsumerConfig::new()).await?;
        let mut found = delivered(&late, 3).await?;
        found.sort_unstable();
        equal("delivered to it", found, vec![4, 5, 6])?;
        store.lifecycle().delete_async("t").await?;
        holds("nothing more", late.try_next().await?.is_none())
    })
}

fn ended_in_many_ways(store: &Store, flushes: bool) -> CaseOutcome {
    store.append("s", run_of(1..=4))?;
    store.fork("s@2", "b")?;
    store.append("t", run_of(5..=8))?;
    if flushes {
        store.maintenance().flush()?;
    }
    store.append("s/b", numbered(9))?;
    store.lifecycle().delete("s")?;
    store.lifecycle().truncate("t", 3)?;
    store.append("s", numbered(10))?;
    store.append("u", numbered(11))?;
    store.lifecycle().delete("u")?;
    Ok(())
}

fn is_ended(store: &Store) -> CaseOutcome {
    equal("what began anew", of_branch(store, "s")?, vec![10])?;
    equal("the fork of the one before", of_branch(store, "s/b")?, vec![1, 2, 9])?;
    equal("the truncated one", of_branch(store, "t")?, vec![7, 8])?;
    refused!(store.head("u"), Error::Deleted { .. });
    equal("everything", numbers(&everything(store)?)?, vec![7, 8, 9, 10])?;
    equal("sessions", store.sessions(None, 10)?.len(), 2)
}

fn what_is_deleted_and_truncated_is_so_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let flushes = home.has_maintenance();
    let mut store = empty(home)?;
    ended_in_many_ways(&store, flushes)?;
    is_ended(&store)?;
    for purges in [false, true] {
        store = reopened(home, store, &Builder::new())?;
        is_ended(&store)?;
        if flushes {
            if purges {
                store.lifecycle().purge()?;
                is_ended(&store)?;
            }
            let report = store.maintenance().verify()?;
            holds(&format!("it verifies: {:?}", report.problems), report.is_clean())?;
            equal("branches", store.maintenance().info()?.branches, 3)?;
            equal("sessions", store.maintenance().info()?.sessions, 2)?;
        }
    }
    store.append("u", numbered(12))?;
    equal("a name that was free", of_branch(&store, "u")?, vec![12])
}

fn what_is_deleted_and_truncated_is_so_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    stays_after_a_crash(home, ended_in_many_ways, is_ended)
}

fn purging_removes_what_nobody_has_once(home: &mut dyn Home) -> CaseOutcome {
    if !home.has_maintenance() {
        return Err(Stop::Lacks(Capability::Maintenance));
    }
    let store = empty(home)?;
    equal("of nothing", store.lifecycle().purge()?.events, 0)?;
    store.append("s", run_of(1..=3))?;
    store.append("t", run_of(4..=6))?;
    equal("of what is there", store.lifecycle().purge()?.events, 0)?;
    store.lifecycle().delete("s")?;
    let other = home.beside(&store)?;
    let purged = other.lifecycle().purge()?;
    holds("what was deleted", purged.events == 3 && purged.bytes > 0)?;
    equal("again", store.lifecycle().purge()?.events, 0)?;
    equal("what is left", numbers(&everything(&store)?)?, vec![4, 5, 6])?;
    in_tasks(async {
        store.lifecycle().delete_async("t").await?;
        equal("the rest", store.lifecycle().purge_async().await?.events, 3)
    })?;
    store.append("t", numbered(7))?;
    equal("it goes on", numbers(&everything(&store)?)?, vec![7])?;
    let report = store.maintenance().verify()?;
    holds(&format!("it verifies: {:?}", report.problems), report.is_clean())
}

fn timers_of_a_deleted_branch_do_not_fire(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.fork("s", "b")?;
    store.append("t", numbered(2))?;
    let timers = [numbered(3), numbered(4), numbered(5), numbered(6)];
    for (timer, address) in timers.iter().zip(["s", "s/b", "t", "s/b"]) {
        store.timers().schedule(address, timer.clone(), Duration::ZERO)?;
    }
    store.lifecycle().delete("s")?;
    store.lifecycle().delete("s/b")?;
    // Another has the name by now.
    store.append_if("s/b", Expect::Empty, numbered(7))?;
    equal("timers fired", store.timers().fire()?.recorded, 1)?;
    equal("main begins empty", store.head("s")?.get(), 0)?;
    equal("everything", numbers(&everything(&store)?)?, vec![2, 7, 5])?;
    let refused = store.timers().list(10)?;
    holds(
        "they are kept with the reason",
        refused.len() == 3 && refused.iter().all(|t| t.refused.is_some()),
    )?;
    // One that is made for what has the name now fires.
    store.timers().schedule("s/b", numbered(8), Duration::ZERO)?;
    equal("timers fired", store.timers().fire()?.recorded, 1)?;
    if home.has_maintenance() {
        store.lifecycle().purge()?;
        equal("timers", store.timers().list(10)?.len(), 0)?;
    }
    equal("what has the name", of_branch(&store, "s/b")?, vec![7, 8])
}

fn what_is_kept_beside_a_deleted_branch_goes_with_it(home: &mut dyn Home) -> CaseOutcome {
    if !home.has_maintenance() {
        return Err(Stop::Lacks(Capability::Maintenance));
    }
    let store = empty(home)?;
    let session = SessionId::new("s")?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    store.append("s/b", numbered(4))?;
    store.append("t", numbered(5))?;
    let sum = store.project(super::truncating::Sum)?;
    sum.catch_up()?;
    equal("states", sum.list(|_| true)?.len(), 3)?;
    store.set_current(&session, &"b".try_into()?)?;
    let owner = Owner::consumer("c")?;
    in_tasks(async {
        let settings = ConsumerConfig::new().max_deliveries(1);
        let consumer = store.consumers().open("c", settings).await?;
        for _ in 0..3 {
            consumer.next().await?.nack(Duration::ZERO).await?;
        }
        equal("dead letters", store.dead_letters().list(Some(&owner), None, 10)?.len(), 3)?;
        consumer.close().await;
        Ok(())
    })?;
    let letters = |store: &Store| -> Result<Vec<String>, Error> {
        let letters = store.dead_letters().list(None, None, 10)?;
        Ok(letters.into_iter().map(|letter| letter.at.place().to_string()).collect())
    };
    let before = letters(&store)?;
    store.lifecycle().delete("s/b")?;
    equal("the current branch", store.current(&session)?.to_string(), "main".to_owned())?;
    holds("it verifies", store.maintenance().verify()?.is_clean())?;
    store.lifecycle().purge()?;
    store.lifecycle().delete("s")?;
    store.lifecycle().purge()?;
    let left: Vec<String> = before.into_iter().filter(|place| place.starts_with("t")).collect();
    equal("dead letters of what is there", letters(&store)?, left)?;
    sum.catch_up()?;
    equal("a state of what is there", sum.state("t")?, 5)?;
    equal("states", sum.list(|_| true)?.len(), 1)?;
    refused!(sum.state("s"), Error::Deleted { .. });
    store.append("s", numbered(6))?;
    store.fork("s", "b")?;
    equal("no branch is the current one", store.current(&session)?.to_string(), "main".to_owned())?;
    sum.catch_up()?;
    equal("a state of what has the name now", sum.state("s/b")?, 6)?;
    let report = store.maintenance().verify()?;
    holds(&format!("it verifies: {:?}", report.problems), report.is_clean())
}

fn a_deleted_branch_is_not_the_current_one_again_when_its_name_is(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let (session, branch) = (SessionId::new("s")?, "b".try_into()?);
    let current = |store: &Store| Ok::<_, Stop>(store.current(&session)?.to_string());
    store.append("s", run_of(1..=2))?;
    let other = home.beside(&store)?;
    for round in 0..3 {
        store.fork("s", "b")?;
        equal("before it is chosen", current(&other)?, "main".to_owned())?;
        store.set_current(&session, &branch)?;
        equal("once it is chosen", current(&other)?, "b".to_owned())?;
        if home.has_maintenance() {
            let report = store.maintenance().verify()?;
            holds(&format!("it verifies: {:?}", report.problems), report.is_clean())?;
        }
        store.lifecycle().delete("s/b")?;
        equal("once it is deleted", current(&store)?, "main".to_owned())?;
        if round == 1 && home.has_maintenance() {
            store.lifecycle().purge()?;
        }
    }
    // A session that begins anew begins with main.
    store.fork("s", "b")?;
    store.set_current(&session, &branch)?;
    store.lifecycle().delete_session(&session)?;
    store.append("s", numbered(3))?;
    store.append_if("s/b", Expect::Empty, numbered(4))?;
    equal("of a new session", current(&other)?, "main".to_owned())?;
    if home.has_maintenance() {
        store.lifecycle().purge()?;
        equal("after a purge", current(&other)?, "main".to_owned())?;
    }
    store.set_current(&session, &branch)?;
    equal("once it is chosen", current(&other)?, "b".to_owned())
}
