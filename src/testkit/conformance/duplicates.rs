//! Events with ids that are recorded already: retries get the first receipt, permanently; everything else is refused.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    at_once, crashed, empty, equal, everything, holds, numbered, refused, reopened, run_of, some,
};
use super::home::Home;
use crate::error::Error;
use crate::event::{Expect, NewEvent};
use crate::store::{Batch, Builder, Receipt, Store};

cases! { "duplicates":
    a_retry_returns_the_first_receipt,
    an_old_event_is_still_deduplicated,
    a_retried_batch_is_deduplicated_as_a_whole,
    a_contiguous_part_of_an_append_is_a_retry,
    an_id_with_other_content_or_in_another_branch_is_refused,
    a_mix_of_recorded_and_new_events_is_refused,
    recorded_events_in_another_order_or_with_a_gap_are_refused,
    an_inherited_event_counts_as_recorded,
    one_of_many_threads_with_the_same_events_records_them,
    retries_are_deduplicated_after_reopening,
    retries_are_deduplicated_after_a_crash,
}

fn a_retry_returns_the_first_receipt(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let events = run_of(1..=3);
    let first = store.append_if("s", Expect::Empty, events.clone())?;
    // Whatever it expects: the expectation was met the first time.
    for expected in [Expect::Empty, Expect::Any, Expect::Head(3.into()), Expect::Head(9.into())] {
        let again = store.append_if("s", expected, events.clone())?;
        equal("the receipt", (again.parts(), again.duplicate()), (first.parts(), true))?;
    }
    equal("committed", store.committed().get(), 3)
}

fn an_old_event_is_still_deduplicated(home: &mut dyn Home) -> CaseOutcome {
    let store = home.create(Builder::new().flush_after(50, 1 << 20))?;
    let mut kept = Vec::new();
    for n in 0..200 {
        let event = numbered(n);
        let receipt = store.append("s", event.clone())?;
        if n % 20 == 0 {
            kept.push((event, receipt));
        }
    }
    for (event, receipt) in kept {
        let again = store.append("s", event)?;
        equal("the receipt", (again.parts(), again.duplicate()), (receipt.parts(), true))?;
    }
    equal("committed", store.committed().get(), 200)
}

fn a_retried_batch_is_deduplicated_as_a_whole(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let (here, there) = (run_of(1..=2), run_of(3..=4));
    let both = || Batch::new().add("s", Expect::Empty, here.clone())?.add("t", Expect::Empty, there.clone());
    let first = store.append_batch(both()?)?;
    let again = store.append_batch(both()?)?;
    equal("the receipt", (again.parts(), again.duplicate()), (first.parts(), true))?;
    let turned = Batch::new().add("t", Expect::Any, there.clone())?.add("s", Expect::Any, here.clone())?;
    let turned = store.append_batch(turned)?;
    let mut parts = turned.parts().to_vec();
    parts.reverse();
    equal("the parts the other way round", &*parts, first.parts())?;
    equal("committed", store.committed().get(), 4)
}

fn a_contiguous_part_of_an_append_is_a_retry(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let events = run_of(1..=5);
    store.append("s", events.clone())?;
    for (from, to) in [(0, 5), (0, 2), (1, 4), (4, 5)] {
        let some = events.get(from..to).unwrap_or_default().to_vec();
        let again = store.append("s", some)?;
        let placed = again.parts().iter().map(|p| (p.first.get(), p.last.get()));
        equal("where it is", placed.collect::<Vec<_>>(), vec![(from as u64 + 1, to as u64)])?;
        holds("it is a duplicate", again.duplicate())?;
    }
    equal("committed", store.committed().get(), 5)
}

fn taken_at(store: &Store, address: &str, events: Vec<NewEvent>, at: &str) -> CaseOutcome {
    let before = everything(store)?;
    match store.append(address, events) {
        Err(Error::Duplicate { at: found, .. }) => {
            equal("where the id is", found.to_string(), at.to_owned())?
        }
        other => return Err(Stop::failed(format!("{other:?} where a duplicate at {at} was due"))),
    }
    equal("events stored", everything(store)?, before)
}

fn an_id_with_other_content_or_in_another_branch_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1).source("runner");
    store.append("s", event.clone())?;
    for other in [
        numbered(2).source("runner").with_id(event.id()),
        event.clone().source("planner"),
        event.clone().priority(1),
        event.clone().version(2),
        event.clone().meta("key", "value"),
        NewEvent::new("step.begun").json_text("1").source("runner").with_id(event.id()),
    ] {
        taken_at(&store, "s", vec![other], "s/main@1")?;
    }
    taken_at(&store, "t", vec![event.clone()], "s/main@1")?;
    refused!(store.head("t"), Error::NotFound { .. });
    holds("the event itself is a retry", store.append("s", event)?.duplicate())
}

fn a_mix_of_recorded_and_new_events_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let (old, new) = (run_of(1..=2), run_of(3..=4));
    store.append("s", old.clone())?;
    taken_at(&store, "s", [old.clone(), new.clone()].concat(), "s/main@1")?;
    taken_at(&store, "s", [new.clone(), old.clone()].concat(), "s/main@1")?;
    let apart = Batch::new().add("t", Expect::Any, new.clone())?.add("s", Expect::Any, old)?;
    refused!(store.append_batch(apart), Error::Duplicate { .. });
    refused!(store.head("t"), Error::NotFound { .. });
    // The refusal did not take the ids of the new events.
    holds("the new events are new", !store.append("s", new)?.duplicate())
}

fn recorded_events_in_another_order_or_with_a_gap_are_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let events = run_of(1..=3);
    store.append("s", events.clone())?;
    let turned: Vec<NewEvent> = events.iter().rev().cloned().collect();
    refused!(store.append("s", turned), Error::Duplicate { .. });
    let gap: Vec<NewEvent> = events.iter().step_by(2).cloned().collect();
    refused!(store.append("s", gap), Error::Duplicate { .. });
    equal("committed", store.committed().get(), 3)
}

fn an_inherited_event_counts_as_recorded(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    store.append("s", event.clone())?;
    store.fork("s", "b")?;
    taken_at(&store, "s/b", vec![event.clone()], "s/main@1")?;
    holds("where it was recorded it is a retry", store.append("s", event)?.duplicate())
}

fn one_of_many_threads_with_the_same_events_records_them(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    for round in 0..10 {
        let events = run_of(round..round + 3);
        let answers = at_once(6, |_| store.append_if("s", Expect::Head((round * 3).into()), events.clone()))?;
        let mut new = 0;
        for answer in answers {
            let receipt = answer?;
            new += usize::from(!receipt.duplicate());
            equal("where they all are", receipt.last().get(), round * 3 + 3)?;
        }
        equal("who recorded them", new, 1)?;
    }
    equal("committed", store.committed().get(), 30)
}

/// The store answers a retry with the first receipt, and refuses the id with other content.
fn is_deduplicated(store: &Store, events: &[NewEvent], first: &Receipt) -> CaseOutcome {
    let again = store.append_if("s", Expect::Empty, events.to_vec())?;
    equal("the receipt", (again.parts(), again.duplicate()), (first.parts(), true))?;
    let id = some("event", events.first())?.id();
    taken_at(store, "s", vec![numbered(99).with_id(id)], "s/main@1")
}

fn retries_are_deduplicated_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let mut store = home.create(settings.clone())?;
    let events = run_of(1..=3);
    let first = store.append("s", events.clone())?;
    for _ in 0..3 {
        store = reopened(home, store, &settings)?;
        is_deduplicated(&store, &events, &first)?;
        store.append("t", numbered(4))?;
    }
    equal("committed", store.committed().get(), 6)
}

fn retries_are_deduplicated_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let mut store = home.create(settings.clone())?;
    let events = run_of(1..=3);
    let first = store.append("s", events.clone())?;
    for _ in 0..3 {
        store = crashed(home, &settings)?;
        is_deduplicated(&store, &events, &first)?;
        store.append("t", numbered(4))?;
    }
    equal("committed", store.committed().get(), 6)
}
