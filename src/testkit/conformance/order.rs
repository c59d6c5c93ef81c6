//! The order of a branch, of a session and of the whole store: forwards, backwards, page by page.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    at_once, empty, equal, everything, holds, numbered, numbers, paged, read, refused, run_of,
};
use super::home::Home;
use crate::error::Error;
use crate::event::{Event, EventId, IdPrefix, NewEvent, Position};
use crate::limits::PAGE_BYTES;
use crate::store::{Builder, Query, Store};

cases! { "order":
    the_global_order_is_that_of_the_appends,
    the_order_of_a_session_is_that_of_its_branches_together,
    pages_of_every_size_add_up_forwards_and_backwards,
    a_range_is_clamped_to_what_is_stored,
    sessions_whose_names_begin_alike_do_not_mix,
    pages_of_large_events_leave_none_out,
    an_event_is_found_by_its_id,
    ids_are_found_by_their_beginning,
    ids_of_events_that_are_gone_are_not_found,
    recorded_time_never_decreases,
    readers_see_whole_batches_only,
}

/// Three sessions with branches, appended to in turn. The number of each event is its position.
fn interleaved(home: &mut dyn Home) -> Result<Store, Stop> {
    let store = home.create(Builder::new().flush_after(24, 1 << 20))?;
    let mut n = 0;
    let mut next = |count: u64| {
        n += count;
        run_of(n - count + 1..=n)
    };
    for session in ["s", "s1", "t"] {
        store.append(session, next(3))?;
        store.fork(format!("{session}@2").as_str(), "b")?;
    }
    for round in 0..10 {
        store.append("s", next(1))?;
        store.append("t/b", next(2))?;
        store.append("s/b", next(1 + round % 3))?;
        store.append("s1", next(1))?;
        if round == 5 {
            store.fork("s/b", "c")?;
        }
        if round > 5 {
            store.append("s/c", next(1))?;
        }
    }
    Ok(store)
}

fn positions(events: &[Event]) -> Vec<u64> {
    events.iter().map(|e| e.position().get()).collect()
}

fn the_global_order_is_that_of_the_appends(home: &mut dyn Home) -> CaseOutcome {
    let store = interleaved(home)?;
    let all = everything(&store)?;
    let last = store.committed().get();
    equal("positions", positions(&all), (1..=last).collect())?;
    equal("what was appended", numbers(&all)?, (1..=last).collect())?;
    let turned = read(&store, Query::all().reverse())?;
    equal("backwards", positions(&turned), (1..=last).rev().collect())?;
    for n in [1, 7, last] {
        let page = store.read_all(Position::new(n), 1)?;
        equal("one of them", positions(&page.events), vec![n])?;
    }
    equal("after the last", store.read_all(Position::new(last + 1), 5)?.events.len(), 0)
}

fn the_order_of_a_session_is_that_of_its_branches_together(home: &mut dyn Home) -> CaseOutcome {
    let store = interleaved(home)?;
    let all = everything(&store)?;
    for session in ["s", "s1", "t"] {
        let due: Vec<Event> = all.iter().filter(|e| e.session().as_str() == session).cloned().collect();
        equal(session, read(&store, Query::session(session)?)?, due.clone())?;
        let turned: Vec<Event> = due.iter().rev().cloned().collect();
        equal(session, read(&store, Query::session(session)?.reverse())?, turned)?;
        for size in [1, 2, 5, 100] {
            equal(session, paged(&store, Query::session(session)?, size)?, due.clone())?;
        }
        for e in due.iter().step_by(3) {
            let from = read(&store, Query::session(session)?.from(e.position()))?;
            let rest: Vec<Event> = due.iter().filter(|d| d.position() >= e.position()).cloned().collect();
            equal(session, from, rest)?;
        }
    }
    refused!(read(&store, Query::session("none")?), Error::NotFound { .. });
    Ok(())
}

fn pages_of_every_size_add_up_forwards_and_backwards(home: &mut dyn Home) -> CaseOutcome {
    let store = interleaved(home)?;
    for query in [Query::all(), Query::branch("s")?, Query::branch("s/c")?, Query::session("s")?] {
        let due = read(&store, query.clone())?;
        let turned: Vec<Event> = due.iter().rev().cloned().collect();
        for size in [1, 2, 3, 7, due.len(), due.len() + 1, 1_000] {
            equal("forwards", paged(&store, query.clone(), size)?, due.clone())?;
            equal("backwards", paged(&store, query.clone().reverse(), size)?, turned.clone())?;
        }
        let few = read(&store, query.clone().limit(4))?;
        equal("the first four", &*few, due.get(..4).unwrap_or_default())?;
        let few = read(&store, query.reverse().limit(4))?;
        equal("the last four", &*few, turned.get(..4).unwrap_or_default())?;
    }
    Ok(())
}

fn a_range_is_clamped_to_what_is_stored(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=5))?;
    let of = |from: u64, to: u64| -> Result<Vec<u64>, Stop> {
        let (branch, all) = (Query::branch("s")?.from(from).to(to), Query::all().from(from).to(to));
        let found = numbers(&read(&store, branch.clone())?)?;
        equal("everything, in the same range", numbers(&read(&store, all)?)?, found.clone())?;
        let mut turned = numbers(&read(&store, branch.reverse())?)?;
        turned.reverse();
        equal("backwards, in the same range", turned, found.clone())?;
        Ok(found)
    };
    equal("from 0", of(0, 2)?, vec![1, 2])?;
    equal("beyond the end", of(4, u64::MAX)?, vec![4, 5])?;
    equal("all of it beyond the end", of(6, 9)?, Vec::new())?;
    equal("the greatest numbers", of(u64::MAX, u64::MAX)?, Vec::new())?;
    equal("one that ends before it begins", of(4, 3)?, Vec::new())?;
    equal("one event", of(3, 3)?, vec![3])?;
    equal("up to an address", numbers(&read(&store, Query::branch("s@2")?)?)?, vec![1, 2])?;
    refused!(read(&store, Query::branch("s/none")?), Error::NotFound { .. });
    refused!(read(&store, Query::branch("t")?), Error::NotFound { .. });
    Ok(())
}

fn sessions_whose_names_begin_alike_do_not_mix(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let names = ["s", "s1", "s10", "s-1", "s 1", "S", "ss", "sé"];
    for (n, name) in (0..).zip(names) {
        store.append(name, run_of([n, n + 100]))?;
        store.fork(format!("{name}@1").as_str(), "s")?;
        store.append(format!("{name}/s").as_str(), numbered(n + 200))?;
    }
    for (n, name) in (0..).zip(names) {
        equal(name, numbers(&read(&store, Query::branch(name)?)?)?, vec![n, n + 100])?;
        let branch = Query::branch(format!("{name}/s").as_str())?;
        equal(name, numbers(&read(&store, branch)?)?, vec![n, n + 200])?;
        equal(name, numbers(&read(&store, Query::session(name)?)?)?, vec![n, n + 100, n + 200])?;
    }
    equal("sessions", store.sessions(None, 100)?.len(), names.len())
}

fn pages_of_large_events_leave_none_out(home: &mut dyn Home) -> CaseOutcome {
    const EVENTS: u64 = 6;
    let store = empty(home)?;
    // Together far more than a page can hold.
    for n in 0..EVENTS {
        let text = n.to_string().repeat(PAGE_BYTES / 3 + 1_000);
        store.append("s", NewEvent::new("a").bytes("text/plain", text.into_bytes()))?;
    }
    for query in [Query::all(), Query::branch("s")?, Query::session("s")?] {
        equal("forwards", positions(&paged(&store, query.clone(), 100)?), (1..=EVENTS).collect())?;
        equal(
            "backwards",
            positions(&paged(&store, query.clone().reverse(), 100)?),
            (1..=EVENTS).rev().collect(),
        )?;
        equal("in one read", positions(&read(&store, query)?), (1..=EVENTS).collect())?;
    }
    Ok(())
}

fn an_event_is_found_by_its_id(home: &mut dyn Home) -> CaseOutcome {
    let store = interleaved(home)?;
    for event in everything(&store)? {
        equal("by its id", store.get(event.id())?, event.clone())?;
        equal("raw, by its id", store.get_raw(event.id())?, event)?;
    }
    refused!(store.get(EventId::new()), Error::NotFound { .. });
    Ok(())
}

/// Ten ids for each beginning of eight digits, recorded in another order; two thirds of them are flushed.
fn with_ids_alike(home: &mut dyn Home) -> Result<(Store, Vec<EventId>), Stop> {
    let store = home.create(Builder::new().flush_after(40, 1 << 20))?;
    let id = |n: u128| EventId::from_bytes((((n % 6) << 96) | (((n * 7) % 60) << 90) | n).to_be_bytes());
    let mut ids: Vec<EventId> = (0..60).map(id).collect();
    for (n, id) in ids.iter().enumerate() {
        let session = if n % 2 == 0 { "s" } else { "t" };
        store.append(session, numbered(n as u64).with_id(*id))?;
    }
    ids.sort();
    Ok((store, ids))
}

fn ids_are_found_by_their_beginning(home: &mut dyn Home) -> CaseOutcome {
    let (store, ids) = with_ids_alike(home)?;
    let other = home.beside(&store)?;
    for store in [&store, &other] {
        for id in &ids {
            let whole = id.to_string();
            for digits in [8, 9, 10, 18, 36] {
                let prefix: IdPrefix = whole.get(..digits).unwrap_or(&whole).parse()?;
                let due: Vec<EventId> = ids.iter().copied().filter(|id| prefix.matches(*id)).collect();
                equal("all of them", store.ids(&prefix, 100)?, due.clone())?;
                for limit in [0, 1, 4] {
                    let first: Vec<EventId> = due.iter().copied().take(limit).collect();
                    equal("the first of them", store.ids(&prefix, limit)?, first)?;
                }
            }
        }
        for none in ["ffffffff", "00000006", "000000000000000000000000000000ff"] {
            equal(none, store.ids(&none.parse()?, 100)?, Vec::new())?;
        }
    }
    Ok(())
}

fn ids_of_events_that_are_gone_are_not_found(home: &mut dyn Home) -> CaseOutcome {
    let (store, ids) = with_ids_alike(home)?;
    let of = |session: &str| -> Result<Vec<EventId>, Stop> {
        Ok(read(&store, Query::session(session)?)?.iter().map(|event| event.id()).collect())
    };
    let (first, second) = (of("s")?, of("t")?);
    let left = |due: &[EventId]| -> CaseOutcome {
        for digit in 0..6 {
            let prefix: IdPrefix = format!("0000000{digit}").parse()?;
            let due: Vec<EventId> =
                ids.iter().copied().filter(|id| prefix.matches(*id) && due.contains(id)).collect();
            equal("what is left", store.ids(&prefix, 100)?, due)?;
        }
        Ok(())
    };
    store.lifecycle().truncate("t", 21)?;
    let kept = second.get(20..).unwrap_or_default();
    left(&[first.as_slice(), kept].concat())?;
    store.lifecycle().delete("s")?;
    left(kept)?;
    // They are free again.
    for (n, id) in first.iter().enumerate().take(3) {
        store.append("u", numbered(n as u64).with_id(*id))?;
    }
    left(&[first.get(..3).unwrap_or_default(), kept].concat())
}

fn recorded_time_never_decreases(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let answers = at_once(4, |thread| {
        (0..25).try_for_each(|n| store.append(format!("s{thread}").as_str(), numbered(n)).map(drop))
    })?;
    answers.into_iter().collect::<crate::error::Result<()>>()?;
    let all = everything(&store)?;
    holds("time never decreases along the positions", all.is_sorted_by_key(Event::recorded))?;
    for info in store.sessions(None, 100)? {
        let own = read(&store, Query::session(&info.session)?)?;
        equal("when its last event was recorded", info.last, own.last().map(Event::recorded))?;
    }
    Ok(())
}

fn readers_see_whole_batches_only(home: &mut dyn Home) -> CaseOutcome {
    const BATCHES: u64 = 60;
    let store = home.create(Builder::new().flush_after(30, 1 << 20))?;
    store.append("s", run_of(0..3))?;
    let verdicts = at_once(3, |thread| -> CaseOutcome {
        if thread == 0 {
            return (1..BATCHES)
                .try_for_each(|n| Ok(store.append("s", run_of(n * 3..n * 3 + 3)).map(drop)?));
        }
        loop {
            let (head, found) = (store.head("s")?.get(), read(&store, Query::branch("s")?)?);
            equal("the head, in batches", head % 3, 0)?;
            equal("what is read, in batches", found.len() % 3, 0)?;
            holds("what was the head is read", found.len() as u64 >= head)?;
            equal("events read", numbers(&found)?, (0..found.len() as u64).collect())?;
            if head == BATCHES * 3 {
                return Ok(());
            }
        }
    })?;
    verdicts.into_iter().collect()
}
