//! Histories with forks, printed and read again.

use super::super::load::BATCH_STEPS;
use super::super::testing::{all, branches, drawn, event, events, imported, plan_of};
use super::super::*;
use crate::event::Event;
use crate::store::{Query, Store};

#[test]
fn a_history_with_forks_goes_through_every_format_that_is_printed() {
    let store = imported(&[]);
    let e = |kind| event(kind).meta("k", "v");
    store.append("s", [e("a"), e("b"), e("c")]).unwrap();
    store.fork("s@2", "alt").unwrap();
    store.append("s/alt", [e("d"), e("e")]).unwrap();
    store.fork("s/alt@3", "deep").unwrap();
    store.append("s/deep", [e("f")]).unwrap();
    store.fork("s@0", "fresh").unwrap();
    store.append("s/fresh", [e("g")]).unwrap();
    for format in [Format::Retold, Format::CloudEvents, Format::Aios] {
        let mut out = Vec::new();
        for (name, parent, at) in
            [("main", "", 0), ("alt", "main", 2), ("deep", "alt", 3), ("fresh", "main", 0)]
        {
            let place = crate::event::Place::new("s".try_into().unwrap(), name.try_into().unwrap());
            let own: Vec<Event> = all(&store).into_iter().filter(|e| **e.place() == place).collect();
            if !parent.is_empty() {
                let read = store.events(Query::branch("s/deep").unwrap()).unwrap();
                let event = read.map(Result::unwrap).find(|e| e.sequence().get() == at).map(|e| e.id());
                let parent = parent.try_into().unwrap();
                print_fork(format, &Forked { place, parent, at: at.into(), event }, &mut out).unwrap();
            }
            own.iter().for_each(|e| print(format, e, &mut out).unwrap());
        }
        let text = String::from_utf8(out).unwrap();
        let other = imported(&[("x.jsonl", &text), ("x.jsonl", &text)]);
        assert_eq!(branches(&other), branches(&store), "{format}");
        for (a, b) in all(&store).iter().zip(all(&other)) {
            assert!(a.record().same_content(b.record()), "{format}: {a:?} {b:?}");
        }
    }
}

#[test]
fn branches_that_a_listing_does_not_explain_are_guessed_from_their_numbers() {
    let store = imported(&[]);
    store.append("s", [event("a"), event("b"), event("c")]).unwrap();
    store.fork("s@2", "alt").unwrap();
    store.append("s/alt", [event("d")]).unwrap();
    let mut out = Vec::new();
    store
        .events(Query::branch("s/alt").unwrap())
        .unwrap()
        .for_each(|e| print(Format::Retold, &e.unwrap(), &mut out).unwrap());
    assert_eq!(drawn(&plan_of("x", &out)), ["s/main: a b", "s/alt < main", "s/alt: d"]);
}

#[test]
fn a_branch_begins_although_its_batch_was_recorded_meanwhile() {
    let source = imported(&[]);
    let many: Vec<_> = (0..=BATCH_STEPS).map(|_| event("a")).collect();
    source.append("s", many).unwrap();
    let mut out = Vec::new();
    let recorded = all(&source);
    recorded.iter().for_each(|e| print(Format::Retold, e, &mut out).unwrap());
    let last = recorded.last().unwrap();
    let place = crate::event::Place::new("s".try_into().unwrap(), "alt".try_into().unwrap());
    let at = last.sequence();
    let forked = Forked { place, parent: "main".try_into().unwrap(), at, event: Some(last.id()) };
    print_fork(Format::Retold, &forked, &mut out).unwrap();
    let plan = plan_of("x.jsonl", &out);
    let again = events(&plan).last().unwrap().1.clone();
    let store = Store::in_memory().unwrap();
    let loaded = load(&store, plan, &mut |done| {
        if done == BATCH_STEPS {
            store.append("s", again.clone()).unwrap();
        }
    });
    let loaded = loaded.unwrap();
    assert_eq!((loaded.new, loaded.duplicates), (BATCH_STEPS, 1));
    source.fork("s", "alt").unwrap();
    assert_eq!(branches(&store), branches(&source));
}
