use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::style;
use proptest::prelude::*;
use retold::event::{BranchName, Catalogue, NewEvent, Sequence};
use retold::store::{Query, Store};

fn events(n: u64) -> Vec<NewEvent> {
    (0..n).map(|n| NewEvent::new("step.done").data(serde_json::json!({ "n": n }))).collect()
}

fn forest(store: &Store) -> Forest {
    Forest::of(store, SessionId::new("s").unwrap()).unwrap()
}

/// The rows for people, without times and colors.
fn drawn(store: &Store, width: usize, wanted: Wanted) -> Vec<String> {
    let forest = forest(store);
    let pen = Pen::new(&forest, Some(Signs::Unicode), rows::lanes(&forest), Some(width), false);
    let mut lines = Vec::new();
    rows(store, &forest, Catalogue::builtin(), wanted, &mut |row| {
        let line = pen.draw(&row, &forest).map(|line| style::shown(&line)).unwrap_or_default();
        lines.push(anstream::adapter::strip_str(&line).to_string());
        Ok(())
    })
    .unwrap();
    lines
}

const ALL: Wanted = Wanted { all: true, limit: None, after: None };

#[test]
fn branches_are_drawn_beside_what_they_were_forked_from() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(3)).unwrap();
    store.fork("s@2", "retry").unwrap();
    store.append("s/retry", events(2)).unwrap();
    store.fork("s/retry@3", "deep").unwrap();
    store.append("s/deep", events(1)).unwrap();
    // A fork of a fork that has nothing of its own there, and one without events.
    store.fork("s/retry@1", "early").unwrap();
    store.append("s/early", events(1)).unwrap();
    store.fork("s@3", "idle").unwrap();
    store.lifecycle().close("s/retry").unwrap();
    assert_eq!(
        drawn(&store, 70, ALL),
        [
            "●     s/main@3   (main) (idle) step.done n 2",
            "│ ●   s/retry@4  (retry, closed) step.done n 1",
            "│ │ ● s/deep@4   (deep) step.done n 0",
            "│ ├─╯",
            "│ ●   s/retry@3  step.done n 0",
            "├─╯",
            "●     s/main@2   step.done n 1",
            "│ ●   s/early@2  (early) step.done n 0",
            "├─╯",
            "●     s/main@1   step.done n 0",
        ]
    );
}

#[test]
fn long_runs_are_counted_and_prompts_are_not() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(10)).unwrap();
    store
        .append("s", NewEvent::new("message.user").data(serde_json::json!({"content": "and now the tests"})))
        .unwrap();
    store.append("s", events(7)).unwrap();
    store.fork("s@4", "b").unwrap();
    store.append("s/b", events(9)).unwrap();
    let lines = drawn(&store, 70, Wanted::default());
    let seen: Vec<&str> =
        lines.iter().map(|line| line.split("  ").next().unwrap_or_default().trim_end()).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("… ")).count(), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("… 4 events, 12 to 15")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("… 6 events, 5 to 10")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("… 5 events, 6 to 10")), "{lines:?}");
    assert_eq!(seen.len(), lines.len());
    assert!(lines.iter().any(|line| line.contains("and now the tests")));
    assert_eq!(drawn(&store, 70, ALL).len(), 27 + 1);
}

#[test]
fn what_was_deleted_is_drawn_as_far_as_a_fork_reads_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(4)).unwrap();
    store.fork("s@3", "late").unwrap();
    store.fork("s@1", "early").unwrap();
    store.append("s/late", events(1)).unwrap();
    store.append("s/early", events(1)).unwrap();
    store.lifecycle().delete("s").unwrap();
    store.append("s", events(1)).unwrap();
    assert_eq!(
        drawn(&store, 70, ALL),
        [
            "●   s/main@1   (main) step.done n 0",
            "●   s/late@4   (late) step.done n 0",
            "●   s/late@3   (main, deleted) step.done n 2",
            "●   s/late@2   step.done n 1",
            "│ ● s/early@2  (early) step.done n 0",
            "├─╯",
            "●   s/early@1  step.done n 0",
        ]
    );
}

#[test]
fn what_was_truncated_is_told_and_shown_where_a_fork_reads_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(6)).unwrap();
    store.fork("s@2", "b").unwrap();
    store.append("s/b", events(1)).unwrap();
    store.lifecycle().truncate("s", Sequence::new(5)).unwrap();
    assert_eq!(
        drawn(&store, 70, ALL),
        [
            "●   s/main@6  (main) step.done n 5",
            "●   s/main@5  step.done n 4",
            "┆             events 3 to 4 were removed",
            "│ ● s/b@3     (b) step.done n 0",
            "├─╯",
            "●   s/b@2     step.done n 1",
            "●   s/b@1     step.done n 0",
        ]
    );
}

/// A deleted parent whose event a truncated fork cannot read, and a fork of that fork can.
#[test]
fn what_only_a_fork_of_a_fork_reads_is_drawn_once_below_both() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(3)).unwrap();
    store.fork("s@1", "cut").unwrap();
    store.append("s/cut", events(1)).unwrap();
    store.fork("s/cut@2", "whole").unwrap();
    store.lifecycle().delete("s").unwrap();
    store.lifecycle().truncate("s/cut", Sequence::new(2)).unwrap();
    let lines = drawn(&store, 70, ALL);
    assert_eq!(
        lines,
        ["● s/cut@2    (cut) (whole) step.done n 0", "● s/whole@1  (main, deleted) step.done n 0"]
    );
    let forest = forest(&store);
    let first: Address = "s/whole@1".parse().unwrap();
    let (line, sequence) = forest.find(&first).unwrap();
    assert_eq!(forest.parent(0, 2), Some(first));
    assert_eq!((sequence, forest.names[line].is_deleted), (1, true));
}

#[test]
fn a_page_goes_on_after_another() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(9)).unwrap();
    for (at, name) in [("s@5", "a"), ("s@5", "b"), ("s/a@5", "c"), ("s/b", "d")] {
        store.fork(at, name).unwrap();
        store.append(format!("s/{name}").as_str(), events(2)).unwrap();
    }
    let forest = forest(&store);
    let page = |limit, after: Option<&Address>| {
        let mut seen = Vec::new();
        let wanted = Wanted { all: true, limit, after: after.map(|after| forest.find(after).unwrap()) };
        let ended = rows(&store, &forest, Catalogue::builtin(), wanted, &mut |row| {
            if let Row::Event(event) = row {
                seen.push((event.address.clone(), event.lanes.clone()));
            }
            Ok(())
        });
        (seen, ended.unwrap())
    };
    let (all, ended) = page(None, None);
    assert_eq!((all.len(), ended.more), (17, false));
    for size in [1, 2, 3, 16, 17, 18] {
        let (mut seen, mut after): (Vec<_>, Option<Address>) = (Vec::new(), None);
        loop {
            let (rows, ended) = page(Some(size), after.as_ref());
            assert!(rows.len() <= size);
            seen.extend(rows);
            after = ended.last;
            if !ended.more {
                break;
            }
        }
        assert_eq!(seen, all, "pages of {size}");
    }
}

#[test]
fn too_many_lanes_leave_the_last_ones() {
    let store = Store::in_memory().unwrap();
    store.append("s", events(2)).unwrap();
    let mut from = "s/main@1".to_owned();
    for n in 0..30 {
        let name = format!("b{n}");
        store.fork(from.as_str(), &name).unwrap();
        store.append(format!("s/{name}").as_str(), events(2)).unwrap();
        from = format!("s/{name}@{}", n + 2);
    }
    for width in [20, 60, 100, 400] {
        let lines = drawn(&store, width, ALL);
        assert_eq!(lines.iter().filter(|line| line.contains('●')).count(), 62);
        assert!(
            lines.iter().all(|line| unicode_width::UnicodeWidthStr::width(line.as_str()) <= width.max(40))
        );
        assert_eq!(lines.iter().any(|line| line.starts_with('…')), width < 300);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(usize, u64),
    Fork(usize, prop::sample::Index),
    Delete(usize),
    Truncate(usize, prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6usize, 1..5u64).prop_map(|(at, n)| Op::Append(at, n)),
        4 => (0..6usize, any::<prop::sample::Index>()).prop_map(|(at, n)| Op::Fork(at, n)),
        1 => (0..6usize).prop_map(Op::Delete),
        1 => (0..6usize, any::<prop::sample::Index>()).prop_map(|(at, n)| Op::Truncate(at, n)),
    ]
}

/// Does it, if it can be done.
fn apply(store: &Store, op: &Op, names: &mut u64) {
    let branches = store.branches(&SessionId::new("s").unwrap()).unwrap_or_default();
    let of = |at: &usize| branches.get(at % branches.len().max(1));
    let address = |branch: &retold::store::BranchInfo| Address::from(branch.place.clone());
    match op {
        Op::Append(at, n) => {
            let place = of(at).filter(|_| *at > 0).map_or_else(|| "s".parse().unwrap(), address);
            let _ = store.append(place, events(*n));
        }
        Op::Fork(at, n) => {
            let Some(branch) = of(at) else { return };
            *names += 1;
            let sequence = Sequence::new(n.index(branch.head.get() as usize + 1) as u64);
            // Few names, so that they come again once they are free.
            let _ = store.fork(address(branch).at(sequence), &format!("b{}", *names % 5));
        }
        Op::Delete(at) => {
            if let Some(branch) = of(at) {
                store.lifecycle().delete(address(branch)).unwrap();
            }
        }
        Op::Truncate(at, n) => {
            if let Some(branch) = of(at) {
                let before = Sequence::new(n.index(branch.head.get() as usize + 1) as u64);
                let _ = store.lifecycle().truncate(address(branch), before);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Beside the log: each branch read for itself, after every change.
    #[test]
    fn the_log_has_what_can_be_read_once_and_parents_are_the_events_before(
        ops in proptest::collection::vec(op(), 1..24),
    ) {
        let store = Store::in_memory().unwrap();
        let (mut names, mut before) = (0, BTreeMap::new());
        let mut readable = BTreeMap::new();
        let mut branches = Vec::new();
        for op in &ops {
            apply(&store, op, &mut names);
            branches = store.branches(&SessionId::new("s").unwrap()).unwrap_or_default();
            readable.clear();
            for branch in &branches {
                let events = store.events(Query::branch(Address::from(branch.place.clone())).unwrap()).unwrap();
                let positions: Vec<u64> = events.map(|event| event.unwrap().position().get()).collect();
                before.extend(positions.windows(2).map(|pair| (pair[1], pair[0])));
                let of = &branch.place.branch;
                readable.extend(positions.into_iter().map(|position| ((of.clone(), position), ())));
            }
        }
        if branches.is_empty() {
            return Ok(());
        }
        let position = |address: &Address| -> u64 {
            let query = Query::branch(address.clone()).unwrap().reverse().limit(1);
            store.events(query).unwrap().next().unwrap().unwrap().position().get()
        };
        let forest = forest(&store);
        let (mut log, mut tips, mut bare): (BTreeSet<u64>, Vec<BranchName>, usize) = Default::default();
        rows(&store, &forest, Catalogue::builtin(), ALL, &mut |row| {
            let named = |line: &usize| forest.names[*line].branch.clone();
            match row {
                Row::Event(row) => {
                    let at = row.event.position().get();
                    assert_eq!(position(&row.address), at);
                    assert!(log.insert(at), "{} is there twice", row.address);
                    match (forest.parent(row.line, row.event.sequence().get()), before.get(&at)) {
                        (Some(parent), Some(due)) => assert_eq!(position(&parent), *due),
                        // Nobody ever read both: the event was forked from what was removed for that branch.
                        (Some(parent), None) => {
                            let before = position(&parent);
                            assert!(before < at);
                            let of = |at| readable.keys().filter(move |(_, read)| *read == at);
                            assert!(of(at).all(|(branch, _)| !readable.contains_key(&(branch.clone(), before))));
                        }
                        // Removed for whoever reads the event.
                        (None, Some(due)) => {
                            assert!(!readable.contains_key(&(row.address.branch().clone(), *due)));
                        }
                        (None, None) => {}
                    }
                    tips.extend(row.tips.iter().filter(|line| !forest.names[**line].is_deleted).map(named));
                    assert_eq!(forest.find(&row.address), Some((row.line, row.event.sequence().get())));
                }
                Row::Removed { tips: at, .. } => tips.extend(at.iter().map(named)),
                Row::Bare { line, .. } => tips.push(named(&line)),
                Row::Stuck { .. } | Row::Many { .. } => bare += 1,
                Row::Join { .. } => {}
            }
            Ok(())
        }).unwrap();
        prop_assert_eq!(bare, 0);
        prop_assert_eq!(log, readable.keys().map(|(_, position)| *position).collect::<BTreeSet<_>>());
        let mut all: Vec<BranchName> = branches.iter().map(|branch| branch.place.branch.clone()).collect();
        all.sort();
        tips.sort();
        prop_assert_eq!(tips, all, "every branch is named once");
    }
}
