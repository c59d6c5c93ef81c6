//! Branches that are truncated begin later; forks of before keep what they have.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    delivered, empty, equal, everything, holds, in_tasks, next_event, number, numbered, numbers, of_branch,
    paged, read, refused, run_of, some,
};
use super::home::Home;
use crate::consumer::ConsumerConfig;
use crate::error::{Error, Result};
use crate::event::{Event, Expect};
use crate::follow::{Follow, Followed};
use crate::store::Query;

cases! { "truncating":
    a_truncated_branch_begins_later,
    forks_keep_what_was_truncated_after_them,
    what_was_truncated_is_still_known,
    truncating_beyond_the_head_or_nothing_is_refused,
    followers_are_told_of_a_gap,
    a_consumer_passes_over_what_is_truncated,
    a_state_is_had_from_a_snapshot_of_before,
}

fn a_truncated_branch_begins_later(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let events = run_of(1..=6);
    let first = events.first().map(|event| event.id());
    store.append("s", events)?;
    store.append("t", numbered(7))?;
    let other = home.beside(&store)?;
    equal("seen elsewhere", of_branch(&other, "s")?.len(), 6)?;
    let info = store.lifecycle().truncate("s", 4)?;
    equal("what is left", (info.first.get(), info.head.get(), info.events), (4, 6, 3))?;
    for store in [&store, &other] {
        equal("its events", of_branch(store, "s")?, vec![4, 5, 6])?;
        equal("in reverse", numbers(&read(store, Query::branch("s")?.reverse())?)?, vec![6, 5, 4])?;
        let page = store.read(&Query::branch("s")?.limit(2))?;
        equal("a page", numbers(&page.events)?, vec![4, 5])?;
        equal("from what is left", numbers(&read(store, Query::branch("s")?.from(5u64))?)?, vec![5, 6])?;
        refused!(store.read(&Query::branch("s")?.from(3u64)), Error::Truncated { first, .. } if first.get() == 4);
        refused!(store.read(&Query::branch("s@3")?), Error::Truncated { .. });
        equal("up to what is left", numbers(&store.read(&Query::branch("s@4")?)?.events)?, vec![4])?;
        refused!(store.fork("s@2", "b"), Error::Truncated { .. });
        equal("everything", numbers(&everything(store)?)?, vec![4, 5, 6, 7])?;
        equal("the session", numbers(&read(store, Query::session("s")?)?)?, vec![4, 5, 6])?;
        equal("in pages", numbers(&paged(store, Query::all(), 1)?)?, vec![4, 5, 6, 7])?;
        refused!(store.get(some("id", first)?), Error::NotFound { .. });
    }
    // It goes on, and so do forks.
    store.append_if("s", Expect::Head(6.into()), numbered(8))?;
    store.fork("s@5", "b")?;
    store.append("s/b", numbered(9))?;
    equal("a fork", of_branch(&store, "s/b")?, vec![4, 5, 9])?;
    equal("its first", store.branch("s/b")?.first.get(), 4)?;
    // All of it, and less than last time.
    equal("all", store.lifecycle().truncate("s", 8)?.events, 0)?;
    equal("again", store.lifecycle().truncate("s", 2)?.first.get(), 8)?;
    equal("its events", of_branch(&store, "s")?, vec![])?;
    equal("its end", store.head("s")?.get(), 7)?;
    store.append("s", numbered(10))?;
    equal("its events", of_branch(&store, "s")?, vec![10])
}

fn forks_keep_what_was_truncated_after_them(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=6))?;
    store.fork("s@3", "early")?;
    store.append("s/early", numbered(7))?;
    store.lifecycle().truncate("s", 5)?;
    store.fork("s@5", "late")?;
    equal("one of before", of_branch(&store, "s/early")?, vec![1, 2, 3, 7])?;
    equal("one of after", of_branch(&store, "s/late")?, vec![5])?;
    // What is inherited is truncated for the fork alone.
    store.lifecycle().truncate("s/early", 3)?;
    equal("the fork", of_branch(&store, "s/early")?, vec![3, 7])?;
    if home.has_maintenance() {
        store.maintenance().flush()?;
        store.lifecycle().purge()?;
    }
    equal("after a purge", of_branch(&store, "s/early")?, vec![3, 7])?;
    equal("the parent", of_branch(&store, "s")?, vec![5, 6])
}

fn what_was_truncated_is_still_known(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let [one, two] = [numbered(1), numbered(2)];
    store.append("s", one.clone())?;
    store.append("s", two.clone())?;
    store.lifecycle().truncate("s", 2)?;
    if home.has_maintenance() {
        store.maintenance().flush()?;
        store.lifecycle().purge()?;
    }
    refused!(store.append("s", one.clone()), Error::Duplicate { at, .. } if at.to_string() == "s/main@1");
    refused!(store.append("t", one), Error::Duplicate { .. });
    holds("what is left is repeated", store.append("s", two)?.duplicate())?;
    equal("its end", store.head("s")?.get(), 2)
}

fn truncating_beyond_the_head_or_nothing_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(store.lifecycle().truncate("s", 1), Error::NotFound { what: "session", .. });
    store.append("s", run_of(1..=3))?;
    refused!(store.lifecycle().truncate("s/b", 1), Error::NotFound { what: "branch", .. });
    refused!(store.lifecycle().truncate("s", 5), Error::NotFound { what: "event", .. });
    refused!(store.lifecycle().truncate("s", u64::MAX), Error::NotFound { .. });
    refused!(store.lifecycle().truncate("s@2", 1), Error::Invalid(_));
    for nothing in [0, 1] {
        equal("nothing", store.lifecycle().truncate("s", nothing)?.first.get(), 1)?;
    }
    store.lifecycle().close("s")?;
    equal("one that is closed", store.lifecycle().truncate("s", 3)?.first.get(), 3)?;
    in_tasks(async { equal("all of it", store.lifecycle().truncate_async("s", 4).await?.events, 0) })?;
    equal("its events", of_branch(&store, "s")?, vec![])
}

fn followers_are_told_of_a_gap(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=5))?;
    store.append("t", numbered(6))?;
    let other = home.beside(&store)?;
    in_tasks(async {
        let mut before = store.follow(Follow::branch("s")?)?;
        equal("the first", number(&next_event(&mut before).await?)?, 1)?;
        let Some(Ok(item)) = before.next().await else { return Err(Stop::failed("the follower ended")) };
        let cursor = item.cursor();
        let mut live = other.follow(Follow::branch("s")?.from_end())?;
        store.lifecycle().truncate_async("s", 5).await?;
        for follow in
            [Follow::branch("s")?, Follow::branch("s")?.cursor(cursor), Follow::branch("s")?.after(1)]
        {
            let mut following = other.follow(follow)?;
            let gap = following.next().await;
            holds("a gap", matches!(gap, Some(Ok(Followed::Gap { first: 5, .. }))))?;
            let resumed = some("gap", gap)??.cursor();
            equal("what is left", number(&next_event(&mut following).await?)?, 5)?;
            let mut again = store.follow(Follow::branch("s")?.cursor(resumed))?;
            equal("resumed after the gap", number(&next_event(&mut again).await?)?, 5)?;
        }
        let mut all = store.follow(Follow::all())?;
        holds("of all", matches!(all.next().await, Some(Ok(Followed::Gap { first: 5, .. }))))?;
        for n in 5..=6 {
            equal("what is left of all", number(&next_event(&mut all).await?)?, n)?;
        }
        // Whoever has had everything is told nothing.
        store.append_async("s", numbered(7)).await?;
        equal("one that was there", number(&next_event(&mut live).await?)?, 7)
    })
}

fn a_consumer_passes_over_what_is_truncated(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=4))?;
    store.append("t", numbered(5))?;
    in_tasks(async {
        store.lifecycle().truncate_async("s", 4).await?;
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await?;
        let mut found = delivered(&consumer, 2).await?;
        found.sort_unstable();
        equal("delivered", found, vec![4, 5])?;
        store.lifecycle().truncate_async("t", 2).await?;
        let late = store.consumers().open("late", ConsumerConfig::new()).await?;
        equal("delivered", delivered(&late, 1).await?, vec![4])?;
        holds("nothing more", late.try_next().await?.is_none())
    })
}

pub(super) struct Sum;

impl crate::project::Projection for Sum {
    type State = u64;

    fn name(&self) -> &str {
        "conformance_sum"
    }

    fn apply(&self, sum: &mut u64, event: &Event) -> Result<(), crate::project::ApplyError> {
        let text = std::str::from_utf8(event.payload()).unwrap_or_default();
        *sum += text.parse::<u64>().unwrap_or_default();
        Ok(())
    }
}

fn a_state_is_had_from_a_snapshot_of_before(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=4))?;
    let sum = store.project(Sum)?;
    sum.catch_up()?;
    store.lifecycle().truncate("s", 5)?;
    store.append("s", run_of(5..=6))?;
    equal("its state", sum.state("s")?, 21)?;
    sum.catch_up()?;
    equal("its state", sum.state("s")?, 21)?;
    // Where nothing was written, there is no state that leaves something out.
    store.append("t", run_of(1..=4))?;
    store.lifecycle().truncate("t", 3)?;
    refused!(sum.state("t"), Error::Truncated { .. } | Error::Parked { .. });
    Ok(())
}
