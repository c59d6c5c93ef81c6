use serde_json::json;

use super::testing::{self, at, recorded};
use super::{Resource, Used};
use crate::event::{Catalogue, NewEvent, TypeSpec};
use crate::limits::{RESOURCE_NAMES, RESOURCE_RUNS, RESOURCE_TOTALS};
use crate::project::Projection;

fn folded(events: Vec<NewEvent>) -> Used {
    testing::folded(Resource::new(Catalogue::builtin()), events)
}

fn call(input: u64, output: u64) -> NewEvent {
    at(
        1,
        "coder.api_call",
        json!({"provider": "acme", "model": "m-1", "input_tokens": input, "output_tokens": output}),
    )
}

#[test]
fn a_gauge_has_a_last_a_peak_and_a_mean() {
    let used = folded(
        [100.0, 400.0, 250.0].map(|mb| at(1, "coder.resource_usage", json!({"memory_mb": mb}))).into(),
    );
    let memory = &used.measures["memory_mb"];
    assert_eq!((memory.last, memory.peak, memory.mean, memory.count), (250.0, 400.0, 250.0, 3));
}

#[test]
fn calls_tokens_and_errors_are_told_apart_by_provider_and_model() {
    let error = json!({"provider": "brand", "error_code": "overloaded"});
    let used = folded(vec![call(100, 10), call(50, 5), at(2, "coder.api_error", error)]);
    assert_eq!((used.sum("input_tokens"), used.sum("output_tokens"), used.tokens()), (150.0, 15.0, 165.0));
    assert_eq!((used.sum("api_calls"), used.sum("errors")), (3.0, 1.0));
    assert_eq!(used.providers["acme"]["api_calls"].sum, 2.0);
    assert_eq!(used.providers["brand"]["errors"].sum, 1.0);
    assert_eq!(used.models["m-1"]["output_tokens"].peak, 10.0);
    assert!(!used.models.contains_key("brand"));
}

#[test]
fn a_total_that_is_reported_again_counts_once_across_types_and_its_rise_is_added() {
    let message = |kind: &'static str, id: &str, tokens: u64| {
        at(1, kind, json!({"message": {"id": id, "usage": {"input_tokens": tokens}, "model": "m"}}))
    };
    let used = folded(vec![
        message("message.assistant", "a", 10),
        message("tool.invoked", "a", 10),
        message("message.thinking", "a", 14),
        message("message.assistant", "b", 5),
        message("message.assistant", "a", 12),
    ]);
    assert_eq!(used.sum("input_tokens"), 17.0);
    assert_eq!(used.models["m"]["input_tokens"].sum, 17.0);
}

#[test]
fn the_sessions_total_is_remembered_however_rarely_it_is_told() {
    let network = || at(1, "coder.resource_usage", json!({"network_bytes": 500}));
    let message = |n: usize| {
        let message = json!({"message": {"id": format!("m-{n}"), "usage": {"input_tokens": 1}}});
        at(1, "message.assistant", message)
    };
    let events = std::iter::once(network()).chain((0..2 * RESOURCE_TOTALS).map(message)).chain([network()]);
    assert_eq!(folded(events.collect()).sum("network_bytes"), 500.0);
}

#[test]
fn the_totals_of_two_coders_add_up_and_each_replaces_its_own() {
    let network = |coder: &str, bytes: u64| {
        at(1, "coder.resource_usage", json!({"coder_id": coder, "network_bytes": bytes}))
    };
    let message = |n: usize| {
        let message = json!({"message": {"id": format!("m-{n}"), "usage": {"input_tokens": 1}}});
        at(1, "message.assistant", message)
    };
    let events = [network("a", 500), network("b", 40), network("a", 700)].into_iter();
    let events = events.chain((0..2 * RESOURCE_TOTALS).map(message)).chain([network("b", 50)]);
    assert_eq!(folded(events.collect()).sum("network_bytes"), 750.0);
}

#[test]
fn what_a_call_cost_is_counted() {
    let call =
        |cost: f64| at(1, "coder.api_call", json!({"provider": "acme", "model": "m", "cost_usd": cost}));
    let used = folded(vec![call(0.25), call(0.5)]);
    assert_eq!((used.sum("cost_usd"), used.models["m"]["cost_usd"].peak), (0.75, 0.5));
}

#[test]
fn a_run_that_sums_up_adds_only_what_its_pieces_did_not_say() {
    let run = |kind: &'static str, tokens: u64| at(1, kind, json!({"run_id": "r", "input_tokens": tokens}));
    let used = folded(vec![
        call(1_000, 0),
        run("run.started", 0),
        call(100, 0),
        call(50, 0),
        run("run.completed", 180),
    ]);
    assert_eq!(used.sum("input_tokens"), 1_180.0);
    let less = folded(vec![run("run.started", 0), call(100, 0), run("run.completed", 80)]);
    assert_eq!(less.sum("input_tokens"), 100.0);
    let again = folded(vec![run("run.completed", 80), run("run.started", 0), run("run.completed", 30)]);
    assert_eq!(again.sum("input_tokens"), 110.0);
}

#[test]
fn tokens_that_a_run_sums_up_are_those_that_its_calls_read_and_wrote() {
    let begin = at(1, "run.started", json!({}));
    let whole = |data| at(2, "run.completed", data);
    let used = folded(vec![begin.clone(), call(100, 20), whole(json!({"tokens": 130}))]);
    assert_eq!((used.tokens(), used.sum("tokens")), (130.0, 10.0));
    let coarse = at(1, "coder.api_call", json!({"provider": "acme", "tokens": 120}));
    let used = folded(vec![begin, coarse, whole(json!({"input_tokens": 100, "output_tokens": 30}))]);
    assert_eq!(used.tokens(), 130.0);
}

#[test]
fn a_users_measure_takes_part() {
    let mut spec = TypeSpec::named("parcel.sent");
    spec.role =
        serde_json::from_value(json!({"usage": [{"what": "grams", "at": "/g", "mode": "delta"}]})).unwrap();
    let own = Catalogue::builtin().with([spec]).unwrap();
    let used = testing::folded(Resource::new(&own), vec![at(0, "parcel.sent", json!({"g": 2.5})); 1]);
    assert_eq!(used.sum("grams"), 2.5);
}

#[test]
fn numbers_beyond_all_bounds_neither_fail_nor_grow_the_state() {
    let resource = Resource::new(Catalogue::builtin());
    let mut used = Used::default();
    for n in 1..=2_000u64 {
        let id = format!("m-{n}");
        let usage = json!({"input_tokens": 1, "output_tokens": 1.0e308});
        let message = json!({"message": {"id": id, "model": id, "usage": usage}});
        let run = json!({"run_id": id});
        for event in
            [NewEvent::new("message.assistant").data(message), NewEvent::new("run.started").data(run)]
        {
            resource.apply(&mut used, &recorded(&format!("s@{n}"), &event)).unwrap();
        }
    }
    assert_eq!(used.sum("input_tokens"), 2_000.0);
    assert_eq!(used.sum("output_tokens"), f64::MAX);
    assert_eq!(used.models.len(), RESOURCE_NAMES + 1);
    assert_eq!(used.models.values().map(|m| m["input_tokens"].sum).sum::<f64>(), 2_000.0);
    let state = serde_json::to_value(&used).unwrap();
    let kept = |part: &str| state[part].as_object().unwrap().len();
    assert_eq!((kept("totals"), kept("runs")), (RESOURCE_TOTALS, RESOURCE_RUNS));
    let json = serde_json::to_vec(&used).unwrap();
    assert_eq!(serde_json::from_slice::<Used>(&json).unwrap(), used);
}
