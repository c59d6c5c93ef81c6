use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::spent::{FOLDED, READ};
use super::{Board, Used};
use crate::event::{Catalogue, NewEvent};
use crate::store::Store;

fn event(kind: &'static str, data: Value) -> NewEvent {
    NewEvent::new(kind).data(data)
}

fn call(tokens: u64) -> NewEvent {
    event("coder.api_call", json!({"provider": "acme", "model": "m", "input_tokens": tokens}))
}

fn spent(store: &Store) -> Used {
    Board::new(store, Catalogue::builtin()).unwrap().spent(&"s".try_into().unwrap()).unwrap()
}

/// As a listing has it.
fn tokens(store: &Store) -> f64 {
    let board = Board::new(store, Catalogue::builtin()).unwrap();
    board.card(&store.sessions(None, 1).unwrap()[0]).unwrap().tokens
}

#[test]
fn a_run_that_ends_on_two_branches_is_paid_for_on_both() {
    let store = Store::in_memory().unwrap();
    let ended = |kind, tokens: u64| event(kind, json!({"run_id": "r", "tokens": tokens}));
    store.append("s", vec![event("run.started", json!({"run_id": "r"})), call(100)]).unwrap();
    assert_eq!(tokens(&store), 100.0);
    store.append("s", ended("run.failed", 48_200)).unwrap();
    store.fork("s@2", "b").unwrap();
    assert_eq!(tokens(&store), 48_200.0, "a fork alone costs nothing");
    store.append("s/b", ended("run.completed", 17_900)).unwrap();
    // The 100 of the shared call are in both sums.
    assert_eq!((tokens(&store), spent(&store).tokens()), (66_000.0, 66_000.0));
}

#[test]
fn a_total_that_goes_on_from_a_fork_adds_what_the_fork_used() {
    let store = Store::in_memory().unwrap();
    let usage = |tokens: u64| event("message.usage", json!({"usage": {"input_tokens": tokens}}));
    store.append("s", vec![usage(100), usage(500)]).unwrap();
    store.fork("s@1", "b").unwrap();
    store.append("s/b", usage(150)).unwrap();
    assert_eq!(tokens(&store), 550.0);
}

#[test]
fn what_a_deleted_branch_used_counts_while_a_fork_has_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", [call(1), call(10), call(100)]).unwrap();
    store.fork("s@2", "b").unwrap();
    store.append("s/b", call(1_000)).unwrap();
    store.lifecycle().delete("s").unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (1_011.0, 1_011.0));
    store.fork("s/b@1", "c").unwrap();
    store.lifecycle().delete("s/b").unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (1.0, 1.0));
}

#[test]
fn promoted_events_are_the_same_events() {
    let store = Store::in_memory().unwrap();
    store.append("s", call(1)).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", [call(10), call(100)]).unwrap();
    store.fork("s/b@2", "c").unwrap();
    store.promote("s/b").unwrap();
    assert_eq!(spent(&store).tokens(), 111.0);
    // Both go on, and what they have in common counts once still.
    store.append("s", call(1_000)).unwrap();
    store.append("s/b", call(10_000)).unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (11_111.0, 11_111.0));
    store.lifecycle().delete("s").unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (10_111.0, 10_111.0));
    // Only the fork of the deleted branch has the first of them now.
    store.lifecycle().delete("s/b").unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (11.0, 11.0));
}

#[test]
fn what_was_promoted_on_is_the_same_event_without_the_branch_between() {
    for own in [false, true] {
        let store = Store::in_memory().unwrap();
        store.append("s", call(1)).unwrap();
        store.fork("s", "b1").unwrap();
        if own {
            store.append("s/b1", call(10)).unwrap();
        }
        let before = if own { 11.0 } else { 1.0 };
        store.fork("s/b1", "b2").unwrap();
        store.append("s/b2", [call(100), call(1_000)]).unwrap();
        store.promote("s/b2").unwrap();
        store.promote("s/b1").unwrap();
        assert_eq!(spent(&store).tokens(), before + 1_100.0);
        // Only the first of the copies is left of those in b1.
        store.fork(if own { "s/b1@3" } else { "s/b1@2" }, "c").unwrap();
        store.lifecycle().delete("s/b1").unwrap();
        assert_eq!(spent(&store).tokens(), before + 1_100.0);
        store.lifecycle().delete("s/c").unwrap();
        assert_eq!((tokens(&store), spent(&store).tokens()), (before + 1_100.0, before + 1_100.0));
        // Its names may be those of another by now.
        store.fork("s@1", "b1").unwrap();
        store.append("s/b1", call(10_000)).unwrap();
        assert_eq!(spent(&store).tokens(), before + 11_100.0);
        store.lifecycle().purge().unwrap();
        assert_eq!(spent(&store).tokens(), before + 11_100.0);
    }
}

#[test]
fn what_was_promoted_is_the_same_event_where_another_branch_has_the_name_of_the_first() {
    let store = Store::in_memory().unwrap();
    store.append("s", call(1)).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", [call(10), call(100)]).unwrap();
    store.promote("s/b").unwrap();
    store.fork("s/b", "c").unwrap();
    store.lifecycle().delete("s/b").unwrap();
    assert_eq!(spent(&store).tokens(), 111.0);
    store.fork("s@1", "b").unwrap();
    store.append("s/b", call(1_000)).unwrap();
    assert_eq!((tokens(&store), spent(&store).tokens()), (1_111.0, 1_111.0));
}

#[test]
fn each_event_is_folded_once_however_long_the_branch_is_that_others_were_forked_from() {
    let store = Store::builder().sync(false).in_memory().unwrap();
    store.append("s", (0..3_000).map(|_| call(1)).collect::<Vec<_>>()).unwrap();
    for n in 1..=60 {
        store.fork(format!("s@{}", n * 50).as_str(), &format!("b{n}")).unwrap();
        store.append(format!("s/b{n}").as_str(), call(1)).unwrap();
    }
    let board = Board::new(&store, Catalogue::builtin()).unwrap();
    let before = (FOLDED.get(), READ.get());
    let spent = board.spent(&"s".try_into().unwrap()).unwrap();
    assert_eq!((spent.tokens(), FOLDED.get() - before.0, READ.get() - before.1), (3_060.0, 3_060, 0));
}

#[test]
fn what_is_far_from_all_forks_is_read_from_the_projection() {
    let store = Store::builder().sync(false).in_memory().unwrap();
    store.append("s", (0..5_000).map(|_| call(1)).collect::<Vec<_>>()).unwrap();
    for (at, name) in [(10, "a"), (4_000, "b"), (4_500, "c")] {
        store.fork(format!("s@{at}").as_str(), name).unwrap();
        store.append(format!("s/{name}").as_str(), call(1)).unwrap();
    }
    let board = Board::new(&store, Catalogue::builtin()).unwrap();
    let before = READ.get();
    assert_eq!(board.spent(&"s".try_into().unwrap()).unwrap().tokens(), 5_003.0);
    assert_eq!(READ.get() - before, 1);
}

#[test]
fn each_event_is_folded_once_however_many_branches_show_it() {
    let store = Store::in_memory().unwrap();
    store.append("s", (0..600).map(|_| call(1)).collect::<Vec<_>>()).unwrap();
    let mut from = "s".to_owned();
    for n in 0..60 {
        store.fork(from.as_str(), &format!("b{n}")).unwrap();
        from = format!("s/b{n}");
        store.append(from.as_str(), [call(1), call(1)]).unwrap();
    }
    let board = Board::new(&store, Catalogue::builtin()).unwrap();
    let before = FOLDED.get();
    let spent = board.spent(&"s".try_into().unwrap()).unwrap();
    assert_eq!((spent.tokens(), FOLDED.get() - before), (720.0, 720));
}

/// A change of a session with branches.
#[derive(Clone, Copy, Debug)]
enum Act {
    Call(u64),
    Fork(u64),
    Promote,
    Adopt,
    Delete,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..1_000u64).prop_map(Act::Call),
        3 => any::<u64>().prop_map(Act::Fork),
        2 => Just(Act::Promote),
        1 => Just(Act::Adopt),
        1 => Just(Act::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A branch is the list of the calls that it shows: what any branch shows was paid for, once.
    #[test]
    fn what_all_branches_show_was_paid_for_once(acts in prop::collection::vec((any::<usize>(), act()), 1..40)) {
        let store = Store::builder().sync(false).in_memory().unwrap();
        store.append("s", call(7)).unwrap();
        let mut paid = vec![7];
        let mut branches: BTreeMap<String, Vec<usize>> = BTreeMap::from([("s/main".to_owned(), vec![0])]);
        let mut parents: BTreeMap<String, String> = BTreeMap::new();
        for (n, (which, act)) in acts.into_iter().enumerate() {
            let names: Vec<String> = branches.keys().cloned().collect();
            let branch = names[which % names.len()].clone();
            let shown = branches[&branch].clone();
            match act {
                Act::Call(tokens) => {
                    store.append(branch.as_str(), call(tokens)).unwrap();
                    branches.get_mut(&branch).unwrap().push(paid.len());
                    paid.push(tokens);
                }
                Act::Fork(at) => {
                    let at = at as usize % (shown.len() + 1);
                    let name = format!("s/b{n}");
                    store.fork(format!("{branch}@{at}").as_str(), &format!("b{n}")).unwrap();
                    branches.insert(name.clone(), shown[..at].to_vec());
                    parents.insert(name, branch);
                }
                Act::Promote => {
                    if store.promote(branch.as_str()).is_ok_and(|receipt| !receipt.duplicate()) {
                        branches.insert(parents[&branch].clone(), shown);
                    }
                }
                Act::Adopt => {
                    let name = branch.split_once('/').unwrap().1;
                    store.set_current(&"s".try_into().unwrap(), &name.try_into().unwrap()).unwrap();
                }
                Act::Delete if branches.len() > 1 => {
                    store.lifecycle().delete(branch.as_str()).unwrap();
                    branches.remove(&branch);
                }
                Act::Delete => {}
            }
            let seen: BTreeSet<usize> = branches.values().flatten().copied().collect();
            let due: u64 = seen.iter().map(|call| paid[*call]).sum();
            prop_assert_eq!(spent(&store).tokens(), due as f64);
        }
        let seen: BTreeSet<usize> = branches.values().flatten().copied().collect();
        let spent = spent(&store);
        prop_assert_eq!(spent.measures.get("api_calls").map_or(0, |calls| calls.count), seen.len() as u64);
        prop_assert_eq!(tokens(&store), spent.tokens());
    }

    /// Calls on branches of branches: each is paid for once, by whatever model.
    #[test]
    fn every_call_is_paid_for_once(steps in prop::collection::vec((0..3usize, 1..9u64, any::<bool>()), 1..24)) {
        let store = Store::builder().sync(false).in_memory().unwrap();
        store.append("s", call(1)).unwrap();
        let (mut branches, mut paid) = (vec!["s".to_owned()], 1);
        for (n, (at, used, forks)) in steps.into_iter().enumerate() {
            let branch = branches[at % branches.len()].clone();
            if forks {
                store.fork(branch.as_str(), &format!("b{n}")).unwrap();
                branches.push(format!("s/b{n}"));
            } else {
                store.append(branch.as_str(), call(used)).unwrap();
                paid += used;
            }
        }
        let spent = spent(&store);
        prop_assert_eq!(spent.tokens(), paid as f64);
        prop_assert_eq!(spent.models["m"]["input_tokens"].sum, paid as f64);
        prop_assert_eq!(spent.measures["api_calls"].count, spent.measures["input_tokens"].count);
        prop_assert_eq!(tokens(&store), paid as f64);
    }
}
