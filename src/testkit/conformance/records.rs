//! What is stored beside the events: current branches, consumers, timers, dead letters. Small, keyed, written
//! atomically.

use super::case::{CaseOutcome, cases};
use super::checks::{crashed, empty, equal, holds, in_tasks, numbered, refused, reopened, run_of, some};
use super::home::Home;
use crate::consumer::ConsumerConfig;
use crate::delivery::Owner;
use crate::error::{Error, Result};
use crate::event::{BranchName, EventId, Expect, SessionId};
use crate::store::sidecar::Sidecar;
use crate::store::{Batch, Builder, Store};

cases! { "records":
    a_session_has_the_current_branch_that_was_chosen_last,
    a_branch_that_does_not_exist_cannot_be_current,
    every_kind_of_record_is_listed,
    records_survive_reopening,
    records_survive_a_crash,
    records_of_an_application_come_with_their_events_or_not_at_all,
    records_of_an_application_are_listed_by_key,
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

fn records_of_an_application_come_with_their_events_or_not_at_all(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    let sidecar = Sidecar::of(&store, "app")?;
    let other = Sidecar::of(&store, "app.two")?;
    let step = |from: Option<&str>, to: &str, n: u64| -> Result<Batch> {
        let changes = sidecar.changes().expect("k", from.map(Into::into)).put("k", to);
        Batch::new().add("s", Expect::Any, numbered(n))?.sidecar(changes)
    };
    let first = step(None, "one", 1)?;
    store.append_batch(first.clone())?;
    equal("sent again", store.append_batch(first)?.duplicate(), true)?;
    refused!(store.append_batch(step(None, "other", 2)?), Error::RecordChanged { .. });
    store.append_batch(step(Some("one"), "two", 3)?)?;
    equal("the head", store.head("s")?.get(), 2)?;
    equal("another namespace", other.get(b"k")?, None)?;
    other.write(other.changes().put("k", "there"))?;
    // A fork, its first event and a record at once; for this branch and for no other of its name.
    let fork = Batch::new().fork("s@1", "b")?.add("s/b", Expect::Head(1.into()), numbered(4))?;
    store.append_batch(fork.sidecar(sidecar.changes().expect("b", None).put("b", "fork"))?)?;
    equal("the fork", store.head("s/b")?.get(), 2)?;
    let branch = store.branch("s/b")?;
    store.append_batch(Batch::new().add("s/b", Expect::Any, numbered(5))?.only(&branch))?;
    store.lifecycle().delete("s/b")?;
    store.fork("s@1", "b")?;
    let late = Batch::new().add("s/b", Expect::Any, numbered(6))?.only(&branch);
    refused!(store.append_batch(late), Error::Deleted { .. });
    equal("the other branch of this name", store.head("s/b")?.get(), 1)?;
    let found = crashed(home, &settings)?;
    let kept = Sidecar::of(&found, "app")?;
    equal(
        "after a crash",
        (kept.get(b"k")?, kept.get(b"b")?),
        (Some(b"two".to_vec()), Some(b"fork".to_vec())),
    )
}

fn records_of_an_application_are_listed_by_key(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let sidecar = Sidecar::of(&store, "app")?;
    let near = Sidecar::of(&store, "app-2")?;
    near.write(near.changes().put("a1", "far"))?;
    let keys = ["a1", "a2", "a3", "b1"];
    sidecar.write(keys.iter().fold(sidecar.changes(), |all, key| all.put(key, *key)))?;
    let listed = |prefix: &str, after: Option<&str>, limit| -> Result<Vec<String>> {
        let found = sidecar.list(prefix.as_bytes(), after.map(str::as_bytes), limit)?;
        Ok(found.into_iter().map(|one| String::from_utf8_lossy(&one.key).into_owned()).collect())
    };
    equal("all", listed("", None, 10)?, keys.map(str::to_owned).to_vec())?;
    equal("a page", listed("a", Some("a1"), 1)?, vec!["a2".to_owned()])?;
    equal("the rest", listed("a", Some("a2"), 10)?, vec!["a3".to_owned()])?;
    sidecar.write(sidecar.changes().remove("a2").expect("a1", Some("a1".into())))?;
    equal("one less", listed("a", None, 10)?, vec!["a1".to_owned(), "a3".to_owned()])?;
    let refused = sidecar.write(sidecar.changes().remove("a1").expect("a1", Some("other".into())));
    refused!(refused, Error::RecordChanged { .. });
    refused!(Sidecar::of(&store, "No Name"), Error::Invalid(_));
    let long = sidecar.changes().put(vec![0_u8; 3_000], "x");
    refused!(sidecar.write(long), Error::Invalid(_));
    equal("none of it is an event", store.committed().get(), 0)
}
