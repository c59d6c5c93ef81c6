//! What is stored beside the events: current branches, consumers, timers, dead letters. Small, keyed, written
//! atomically.

use super::case::{CaseOutcome, cases};
use super::checks::{crashed, empty, equal, holds, in_tasks, numbered, refused, reopened, run_of, some};
use super::home::Home;
use crate::consumer::ConsumerConfig;
use crate::delivery::Owner;
use crate::error::{Error, Result};
use crate::event::{BranchName, EventId, SessionId};
use crate::store::{Builder, Store};

cases! { "records":
    a_session_has_the_current_branch_that_was_chosen_last,
    a_branch_that_does_not_exist_cannot_be_current,
    every_kind_of_record_is_listed,
    records_survive_reopening,
    records_survive_a_crash,
}

fn a_session_has_the_current_branch_that_was_chosen_last(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let session = SessionId::new("s")?;
    equal("the current branch of nothing", store.current(&session)?, BranchName::main())?;
    store.append("s", run_of(1..=2))?;
    store.append("s2", numbered(3))?;
    for name in ["b", "c"] {
        store.fork("s@1", name)?;
        equal("a fork does not move it", store.current(&session)?.as_str() == name, false)?;
        store.set_current(&session, &BranchName::new(name)?)?;
        store.append("s", numbered(4))?;
        equal("the current branch", store.current(&session)?.to_string(), name.to_owned())?;
    }
    equal("that of another session", store.current(&SessionId::new("s2")?)?, BranchName::main())?;
    let listed = store.sessions(None, 10)?;
    let listed: Vec<String> = listed.into_iter().map(|info| info.current.to_string()).collect();
    equal("in the listing", listed, vec!["c".to_owned(), "main".to_owned()])?;
    store.set_current(&session, &BranchName::main())?;
    equal("back again", store.current(&session)?, BranchName::main())?;
    equal("none of it is an event", store.committed().get(), 5)
}

fn a_branch_that_does_not_exist_cannot_be_current(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    for (session, branch) in [("s", "b"), ("t", "main")] {
        let refused = store.set_current(&SessionId::new(session)?, &BranchName::new(branch)?);
        refused!(refused, Error::NotFound { .. });
    }
    equal("the current branch", store.current(&SessionId::new("s")?)?, BranchName::main())
}

/// One record of every kind.
struct Kept {
    timer: EventId,
}

/// Two events, of which the first is a dead letter of a consumer; a timer; a current branch.
fn kept(store: &Store) -> Result<Kept, super::case::Stop> {
    store.append("s", run_of(1..=2))?;
    store.fork("s@1", "b")?;
    store.set_current(&SessionId::new("s")?, &BranchName::new("b")?)?;
    let timer = store.timers().schedule("s", numbered(9), std::time::Duration::from_secs(3_600))?.id;
    in_tasks(async {
        let consumer = store.consumers().open("worker", ConsumerConfig::new()).await?;
        consumer.next().await?.park("it cannot be read").await?;
        consumer.next().await?.ack().await?;
        consumer.close().await;
        Ok(())
    })?;
    Ok(Kept { timer })
}

fn are_there(store: &Store, kept: &Kept) -> CaseOutcome {
    equal("the current branch", store.current(&SessionId::new("s")?)?.to_string(), "b".to_owned())?;
    let timers: Vec<EventId> = store.timers().list(10)?.into_iter().map(|timer| timer.id).collect();
    equal("timers", timers, vec![kept.timer])?;
    equal("the timer's place", store.timers().get(kept.timer)?.place.to_string(), "s/main".to_owned())?;
    let consumers = store.consumers().list()?;
    let names: Vec<&str> = consumers.iter().map(|info| info.name.as_str()).collect();
    equal("consumers", names, vec!["worker"])?;
    let info = store.consumers().info("worker")?;
    equal("what is resolved", (info.ack_floor.get(), info.acknowledged, info.dead_letters), (2, 1, 1))?;
    let dead_letters = store.dead_letters().list(None, None, 10)?;
    equal("dead letters", dead_letters.len(), 1)?;
    let dead_letter = some("dead letter", dead_letters.first())?;
    equal("its event", dead_letter.at.to_string(), "s/main@1".to_owned())?;
    holds("it says why", dead_letter.error.contains("it cannot be read"))?;
    let owner = Owner::consumer("worker")?;
    equal(
        "the dead letter by its position",
        store.dead_letters().get(&owner, dead_letter.position)?,
        dead_letter.clone(),
    )?;
    refused!(store.consumers().info("other"), Error::NotFound { .. });
    refused!(store.timers().get(EventId::new()), Error::NotFound { .. });
    refused!(store.dead_letters().get(&owner, 2), Error::NotFound { .. });
    Ok(())
}

fn every_kind_of_record_is_listed(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let kept = kept(&store)?;
    are_there(&store, &kept)?;
    store.append("s", run_of(3..=40))?;
    store.timers().cancel(kept.timer)?;
    equal("timers", store.timers().list(10)?.len(), 0)?;
    store.dead_letters().discard(&Owner::consumer("worker")?, 1)?;
    equal("dead letters", store.dead_letters().list(None, None, 10)?.len(), 0)
}

fn records_survive_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let mut store = home.create(settings.clone())?;
    let kept = kept(&store)?;
    for _ in 0..2 {
        store = reopened(home, store, &settings)?;
        are_there(&store, &kept)?;
    }
    store.timers().cancel(kept.timer)?;
    let store = reopened(home, store, &settings)?;
    let left: Result<Vec<_>> = store.timers().list(10);
    equal("timers", left?.len(), 0)
}

fn records_survive_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    let kept = kept(&store)?;
    let found = crashed(home, &settings)?;
    are_there(&found, &kept)?;
    found.timers().cancel(kept.timer)?;
    let found = crashed(home, &settings)?;
    equal("timers", found.timers().list(10)?.len(), 0)
}
