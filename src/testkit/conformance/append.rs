//! Appends: expectations, batches, conflicts of concurrent appends.

use super::case::{CaseOutcome, cases};
use super::checks::{
    at_once, empty, equal, everything, holds, in_tasks, numbered, numbers, read, refused, run_of,
};
use super::home::Home;
use crate::error::{Error, Result};
use crate::event::{EventId, Expect, NewEvent, Timestamp};
use crate::store::{Batch, Query, Receipt};

cases! { "append":
    an_append_goes_to_the_end_of_its_branch_and_returns_where,
    every_expectation_is_checked_against_the_head,
    a_branch_begins_with_an_append_only_when_it_is_expected_to_be_empty,
    a_batch_is_recorded_as_a_whole_in_the_order_of_its_parts,
    a_batch_with_one_part_refused_leaves_nothing,
    a_later_part_expects_what_an_earlier_one_leaves,
    an_empty_append_and_a_repeated_id_are_refused,
    an_event_comes_back_as_it_was_given,
    a_large_event_comes_back_whole,
    exactly_one_of_many_threads_that_expect_the_same_head_wins,
    exactly_one_of_many_batches_that_meet_in_one_branch_wins,
    concurrent_appends_of_threads_leave_no_gap,
    concurrent_appends_of_tasks_leave_no_gap,
}

fn an_append_goes_to_the_end_of_its_branch_and_returns_where(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    equal("committed at first", store.committed().get(), 0)?;
    let first = store.append("s", run_of(1..=3))?;
    let placed = first.parts().iter().map(|p| (p.first.get(), p.last.get()));
    equal("sequences", placed.collect::<Vec<_>>(), vec![(1, 3)])?;
    let other = store.append("t", numbered(4))?;
    let placed = other.parts().iter().map(|p| (p.place.to_string(), p.first.get(), p.first_position.get()));
    equal("the other's place", placed.collect::<Vec<_>>(), vec![("t/main".to_owned(), 1, 4)])?;
    let second = store.append("s", run_of(5..=6))?;
    equal("its last sequence", second.last().get(), 5)?;
    equal("its last position", second.position().get(), 6)?;
    holds("they are new", !first.duplicate() && !second.duplicate())?;
    equal("committed", store.committed().get(), 6)?;
    equal("events read", numbers(&read(&store, Query::branch("s")?)?)?, vec![1, 2, 3, 5, 6])
}

fn every_expectation_is_checked_against_the_head(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(
        store.append_if("s", Expect::Head(1.into()), numbered(0)),
        Error::Conflict { actual, .. } if actual.get() == 0
    );
    equal("sessions after a refusal", store.sessions(None, 10)?.len(), 0)?;
    store.append_if("s", Expect::Empty, numbered(1))?;
    store.append_if("t", Expect::Head(0.into()), numbered(2))?;
    store.append_if("s", Expect::Head(1.into()), numbered(3))?;
    store.append_if("s", Expect::Any, numbered(4))?;
    for expected in [Expect::Empty, Expect::Head(0.into()), Expect::Head(2.into()), Expect::Head(4.into())] {
        let before = everything(&store)?;
        match store.append_if("s", expected, numbered(9)) {
            Err(Error::Conflict { place, expected: named, actual }) => {
                let conflict = (place.to_string(), named, actual.get());
                equal("the conflict", conflict, ("s/main".to_owned(), expected, 3))?;
            }
            other => equal("a conflict", format!("{other:?}"), "a conflict".to_owned())?,
        }
        equal("events stored after a conflict", everything(&store)?, before)?;
    }
    // The head of a fork includes what it inherits; a fork at 0 is empty.
    store.fork("s@2", "b")?;
    store.fork("s@0", "none")?;
    refused!(store.append_if("s/b", Expect::Empty, numbered(9)), Error::Conflict { .. });
    store.append_if("s/b", Expect::Head(2.into()), numbered(5))?;
    store.append_if("s/none", Expect::Empty, numbered(6))?;
    equal("the fork", numbers(&read(&store, Query::branch("s/b")?)?)?, vec![1, 3, 5])
}

fn a_branch_begins_with_an_append_only_when_it_is_expected_to_be_empty(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    for expected in [Expect::Any, Expect::Head(1.into())] {
        refused!(store.append_if("s/none", expected, numbered(2)), Error::NotFound { .. });
        refused!(store.append_if("t/none", expected, numbered(2)), Error::NotFound { .. });
    }
    refused!(store.head("s/none"), Error::NotFound { .. });
    refused!(store.head("t"), Error::NotFound { .. });
    equal("committed", store.committed().get(), 1)?;
    for (address, expected) in
        [("s/a", Expect::Empty), ("s/b", Expect::Head(0.into())), ("t/a", Expect::Empty)]
    {
        store.append_if(address, expected, numbered(3))?;
        equal(address, numbers(&read(&store, Query::branch(address)?)?)?, vec![3])?;
        refused!(store.append_if(address, Expect::Empty, numbered(4)), Error::Conflict { .. });
    }
    equal("main of a session that began with another branch", store.head("t")?.get(), 0)?;
    equal("committed", store.committed().get(), 4)
}

fn a_batch_is_recorded_as_a_whole_in_the_order_of_its_parts(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("a", run_of(1..=2))?;
    store.fork("a@1", "b")?;
    let batch = Batch::new()
        .add("c", Expect::Empty, run_of(3..=4))?
        .add("a/b", Expect::Head(1.into()), numbered(5))?
        .add("a", Expect::Any, run_of(6..=7))?;
    let receipt = store.append_batch(batch)?;
    let placed = receipt.parts().iter().map(|p| {
        (p.place.to_string(), p.first.get(), p.last.get(), p.first_position.get(), p.last_position.get())
    });
    let due = vec![
        ("c/main".to_owned(), 1, 2, 3, 4),
        ("a/b".to_owned(), 2, 2, 5, 5),
        ("a/main".to_owned(), 3, 4, 6, 7),
    ];
    equal("the receipt", placed.collect::<Vec<_>>(), due)?;
    equal("the global order", numbers(&everything(&store)?)?, (1..=7).collect())
}

fn a_batch_with_one_part_refused_leaves_nothing(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let first = numbered(1);
    store.append("a", first.clone())?;
    let before = everything(&store)?;
    let new = || Batch::new().add("new", Expect::Empty, run_of(2..=3));
    refused!(store.append_batch(new()?.add("a", Expect::Empty, numbered(4))?), Error::Conflict { .. });
    refused!(store.append_batch(new()?.add("a/none", Expect::Any, numbered(4))?), Error::NotFound { .. });
    let taken = numbered(4).with_id(first.id());
    refused!(store.append_batch(new()?.add("a", Expect::Any, taken)?), Error::Duplicate { .. });
    equal("events stored", everything(&store)?, before)?;
    refused!(store.head("new"), Error::NotFound { .. });
    equal("sessions", store.sessions(None, 10)?.len(), 1)?;
    // Refused appends took no position.
    equal("the next position", store.append("new", numbered(5))?.position().get(), 2)
}

fn a_later_part_expects_what_an_earlier_one_leaves(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let batch = |second| {
        Batch::new().add("s", Expect::Empty, run_of(1..=2))?.add("t", Expect::Empty, numbered(3))?.add(
            "s",
            second,
            numbered(4),
        )
    };
    for wrong in [Expect::Empty, Expect::Head(1.into()), Expect::Head(3.into())] {
        refused!(store.append_batch(batch(wrong)?), Error::Conflict { .. });
    }
    equal("committed", store.committed().get(), 0)?;
    let receipt = store.append_batch(batch(Expect::Head(2.into()))?)?;
    let placed = receipt.parts().iter().map(|p| (p.place.to_string(), p.first.get(), p.first_position.get()));
    let due = vec![("s/main".to_owned(), 1, 1), ("t/main".to_owned(), 1, 3), ("s/main".to_owned(), 3, 4)];
    equal("the receipt", placed.collect::<Vec<_>>(), due)
}

fn an_empty_append_and_a_repeated_id_are_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(store.append("s", Vec::new()), Error::Invalid(_));
    refused!(store.append_batch(Batch::new()), Error::Invalid(_));
    let one = numbered(1);
    refused!(store.append("s", [one.clone(), one.clone()]), Error::Invalid(_));
    let apart = Batch::new().add("s", Expect::Any, one.clone())?.add("t", Expect::Any, one)?;
    refused!(store.append_batch(apart), Error::Invalid(_));
    equal("committed", store.committed().get(), 0)
}

fn an_event_comes_back_as_it_was_given(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let cause = EventId::new();
    let given = NewEvent::new("tool.invoked")
        .version(3)
        .occurred(Timestamp::from_micros(-7))
        .source("runner")
        .actor("someone")
        .correlation("undertaking")
        .causation(cause)
        .trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .priority(200)
        .meta("key", "value")
        .meta("empty", "")
        .bytes("application/octet-stream", vec![0, 255, 0]);
    let bare = NewEvent::new("a").bytes("text/plain", "");
    store.append("日本 1", [given.clone(), bare.clone()])?;
    let same = |found: &crate::event::Event, given: &NewEvent| {
        equal("id", found.id(), given.id())?;
        equal("type", (found.kind(), found.version()), (given.kind(), given.get_version()))?;
        equal("time", (found.occurred(), found.priority()), (given.get_occurred(), given.get_priority()))?;
        equal("source", (found.source(), found.actor()), (given.get_source(), given.get_actor()))?;
        equal("correlation", found.correlation(), given.get_correlation())?;
        equal("causation", (found.causation(), found.trace()), (given.get_causation(), given.get_trace()))?;
        let found_metadata: Vec<_> = found.metadata().collect();
        equal("metadata", found_metadata, given.get_metadata().collect())?;
        equal("content type", found.content_type(), given.content_type())?;
        equal("payload", found.payload(), &**given.payload())
    };
    let events = read(&store, Query::branch("日本 1")?)?;
    equal("how many", events.len(), 2)?;
    for (found, given) in events.iter().zip([&given, &bare]) {
        same(found, given)?;
        same(&store.get(given.id())?, given)?;
    }
    Ok(())
}

fn a_large_event_comes_back_whole(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    // Bytes that do not compress.
    let bytes: Vec<u8> =
        (0u64..300_000).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).collect();
    let large = NewEvent::new("a").bytes("application/octet-stream", bytes.clone());
    let id = large.id();
    store.append("s", vec![numbered(1), large, numbered(3)])?;
    holds("it is as it was, by its id", store.get(id)?.payload() == bytes)?;
    let found = read(&store, Query::branch("s")?)?;
    equal("how many", found.len(), 3)?;
    holds("it is as it was, on its branch", found.iter().any(|e| e.payload() == bytes))
}

fn exactly_one_of_many_threads_that_expect_the_same_head_wins(home: &mut dyn Home) -> CaseOutcome {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 25;
    let store = empty(home)?;
    for head in 0..ROUNDS {
        let answers = at_once(THREADS, |thread| {
            store.append_if("s", Expect::Head(head.into()), numbered(head * THREADS + thread))
        })?;
        equal("winners", winners(&answers), 1)?;
        for answer in answers {
            match answer {
                Ok(receipt) => equal("the winner's sequence", receipt.last().get(), head + 1)?,
                Err(Error::Conflict { actual, .. }) => equal("what the others see", actual.get(), head + 1)?,
                Err(e) => return Err(e.into()),
            }
        }
    }
    equal("the head", store.head("s")?.get(), ROUNDS)?;
    equal("committed", store.committed().get(), ROUNDS)
}

fn exactly_one_of_many_batches_that_meet_in_one_branch_wins(home: &mut dyn Home) -> CaseOutcome {
    const THREADS: u64 = 6;
    let store = empty(home)?;
    let answers = at_once(THREADS, |thread| {
        let batch = Batch::new().add(format!("own-{thread}"), Expect::Empty, numbered(thread))?;
        store.append_batch(batch.add("met", Expect::Empty, numbered(thread))?)
    })?;
    equal("winners", winners(&answers), 1)?;
    let mut names: Vec<String> =
        store.sessions(None, 100)?.into_iter().map(|info| info.session.to_string()).collect();
    names.retain(|name| name != "met");
    equal("sessions of winners", names.len(), 1)?;
    equal("committed", store.committed().get(), 2)
}

fn winners(answers: &[Result<Receipt>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

fn concurrent_appends_of_threads_leave_no_gap(home: &mut dyn Home) -> CaseOutcome {
    const THREADS: u64 = 6;
    const EACH: u64 = 40;
    let store = empty(home)?;
    let answers = at_once(THREADS, |thread| {
        let own = format!("own-{thread}");
        (0..EACH)
            .map(|n| {
                let both = Batch::new().add("shared", Expect::Any, numbered(n))?;
                store.append_batch(both.add(own.as_str(), Expect::Head(n.into()), numbered(n))?)
            })
            .collect::<Result<Vec<Receipt>>>()
    })?;
    for receipts in answers {
        let receipts = receipts?;
        let ascending = receipts.is_sorted_by(|a, b| a.position() < b.position());
        holds("a thread's appends are in its order", ascending)?;
    }
    let all = everything(&store)?;
    let positions: Vec<u64> = all.iter().map(|e| e.position().get()).collect();
    equal("positions", positions, (1..=2 * THREADS * EACH).collect())?;
    let shared = read(&store, Query::branch("shared")?)?;
    let sequences: Vec<u64> = shared.iter().map(|e| e.sequence().get()).collect();
    equal("sequences", sequences, (1..=THREADS * EACH).collect())?;
    for thread in 0..THREADS {
        let own = read(&store, Query::branch(format!("own-{thread}"))?)?;
        equal("a thread's own", numbers(&own)?, (0..EACH).collect())?;
    }
    Ok(())
}

fn concurrent_appends_of_tasks_leave_no_gap(home: &mut dyn Home) -> CaseOutcome {
    const TASKS: u64 = 32;
    let store = empty(home)?;
    in_tasks(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.append_async("s", numbered(n)).await })
            })
            .collect();
        let mut sequences = Vec::new();
        for task in tasks {
            sequences.push(task.await??.last().get());
        }
        sequences.sort_unstable();
        equal("sequences", sequences, (1..=TASKS).collect())
    })?;
    let mut found = numbers(&read(&store, Query::branch("s")?)?)?;
    found.sort_unstable();
    equal("events stored", found, (0..TASKS).collect())
}
