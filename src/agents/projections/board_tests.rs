use proptest::prelude::*;
use serde_json::{Value, json};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

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
