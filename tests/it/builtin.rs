//! The projections that come along, on what other programs recorded and on streams that make no sense.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use retold::agents::projections;
use retold::agents::projections::{Lifecycle, Lives, Progress, Resource, Stats};
use retold::event::Phase;
use retold::project::{DynProjection, Scope};
use retold::{Catalogue, NewEvent, Query, Store, Timestamp};
use serde_json::{Value, json};

/// The folder of real sessions, where it is.
fn real() -> Option<PathBuf> {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real");
    if !real.is_dir() {
        println!("skipped: the real sessions are not here");
        return None;
    }
    Some(real)
}

fn imported(path: &Path) -> Store {
    let store = Store::in_memory().unwrap();
    let bytes = std::fs::read(path).unwrap().into();
    let options = retold::agents::interop::Options::default();
    let plan = retold::agents::interop::parse(path.to_str().unwrap(), &bytes, &options).unwrap();
    retold::agents::interop::load(&store, plan, &mut |_| {}).unwrap();
    store
}

fn session(store: &Store) -> String {
    store.sessions(None, 1).unwrap()[0].session.to_string()
}

fn lives(path: &Path) -> Lives {
    let store = imported(path);
    let lives = store.project(Lifecycle::new(Catalogue::builtin())).unwrap();
    lives.state(session(&store)).unwrap()
}

#[test]
fn a_temporal_history_that_was_cancelled_terminated_or_retried_says_so() {
    let Some(real) = real() else { return };
    let temporal = |file: &str| lives(&real.join("temporal").join(file));

    let cancelled = temporal("ui_raw-events.ascending.canceled.json");
    assert_eq!(cancelled.session.phase, Some(Phase::Cancelled));
    assert_eq!(cancelled.entities["timer"]["7"].phase, Some(Phase::Cancelled));

    let terminated = temporal("ui_raw-events.ascending.terminated.json");
    let life = &terminated.session;
    assert_eq!((life.phase, life.reason.as_deref()), (Some(Phase::Stopped), Some("reset canary")));
    assert_eq!(life.by.as_deref(), Some("history-service"));
    // It did not wait for what was at work in it.
    assert_eq!(terminated.kinds["tool"].phases[&Phase::Running], 2);

    // The server retries a child without a word in the parent's history: its end says that it gave up.
    let retried = temporal("java_testChildWorkflowRetryHistory.json");
    let child = retried.entities["workflow"].values().next().unwrap();
    assert_eq!((child.phase, child.error.as_deref()), (Some(Phase::Failed), Some("simulated failure")));
    assert_eq!(child.reason.as_deref(), Some("RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED"));
    assert_eq!(retried.session.phase, Some(Phase::Failed));
    for lives in [cancelled, terminated, retried] {
        assert_eq!((lives.odd, lives.forgotten), (0, 0));
    }
}

/// What the records say, summed up without any of ours: the last report of each thing counts.
fn raw_tokens(path: &Path, of: impl Fn(&Value) -> Vec<(String, f64)>) -> f64 {
    let text = std::fs::read_to_string(path).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let by_thing: std::collections::BTreeMap<String, f64> = records.flat_map(|record| of(&record)).collect();
    by_thing.values().sum()
}

#[test]
fn tokens_of_an_agents_session_are_what_its_records_say() {
    let Some(real) = real() else { return };
    let claude = real.join("claude-code/side-branch.jsonl");
    let hands = real.join("openhands/sdk_v1_goal_events.jsonl");
    let of_message = |member: &'static str| {
        move |record: &Value| {
            let tokens = record["message"]["usage"][member].as_f64();
            tokens.map(|n| (record["message"]["id"].to_string(), n)).into_iter().collect()
        }
    };
    let of_metrics = |member: &'static str| {
        move |record: &Value| {
            let all = record["value"]["usage_to_metrics"].as_object().into_iter().flatten();
            let tokens = all.map(|(name, m)| (name.clone(), &m["accumulated_token_usage"][member]));
            tokens.filter_map(|(name, n)| Some((name, n.as_f64()?))).collect()
        }
    };
    for (path, input, output) in [
        (
            &claude,
            raw_tokens(&claude, of_message("input_tokens")),
            raw_tokens(&claude, of_message("output_tokens")),
        ),
        (
            &hands,
            raw_tokens(&hands, of_metrics("prompt_tokens")),
            raw_tokens(&hands, of_metrics("completion_tokens")),
        ),
    ] {
        assert!(input > 0.0 && output > 0.0, "{path:?}");
        let store = imported(path);
        let used = store.project(Resource::of_sessions(Catalogue::builtin())).unwrap();
        let used = used.state(session(&store)).unwrap();
        assert_eq!((used.sum("input_tokens"), used.sum("output_tokens")), (input, output), "{path:?}");
        let by_model: f64 = used.models.values().map(|of| of["output_tokens"].sum).sum();
        assert_eq!(by_model, output, "{path:?}");
    }
}

/// Types that mean something to each of the projections, with ids from a small set, so that they meet.
fn event() -> impl Strategy<Value = NewEvent> {
    const KINDS: [&str; 24] = [
        "session.created",
        "session.closed",
        "session.resumed",
        "run.started",
        "run.paused",
        "run.completed",
        "run.failed",
        "run.progress",
        "task.started",
        "task.blocked",
        "task.completed",
        "task.progress",
        "tool.invoked",
        "tool.errored",
        "tool.retried",
        "tool.completed",
        "coder.created",
        "coder.milestone",
        "coder.api_call",
        "coder.resource_usage",
        "message.assistant",
        "coder.progress",
        "nobody.knows",
        "error.raised",
    ];
    let numbers = (0.0..120.0f64, -1e9..1e9f64, 0u64..4, any::<u8>());
    (prop::sample::select(KINDS.to_vec()), 0..3u8, 0i64..100_000_000, numbers).prop_map(|(kind, id, time, numbers)| {
        let (progress, amount, small, bits) = numbers;
        let id = format!("x-{id}");
        let data = json!({
            "run_id": id, "task_id": id, "call_id": id, "coder_id": id, "progress": progress, "milestone": id,
            "done": small, "total": 4, "provider": id, "model": "m", "input_tokens": small * 100,
            "output_tokens": amount.abs(), "memory_mb": amount, "network_bytes": amount.abs(), "cost_usd": amount / 1e7,
            "reason": if bits & 1 == 0 { Value::Null } else { json!("because") },
            "message": {"id": id, "model": "m", "usage": {"input_tokens": small}},
        });
        NewEvent::new(kind).data(data).occurred(Timestamp::from_micros(time)).source("test")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A state that is written down at any point and read back goes on as if it had not been.
    #[test]
    fn folds_go_on_from_their_json_as_from_themselves(events in prop::collection::vec(event(), 1..60)) {
        let store = Store::in_memory().unwrap();
        store.append("s", events).unwrap();
        let recorded: Vec<retold::Event> =
            store.events(Query::branch("s").unwrap()).unwrap().map(Result::unwrap).collect();
        for projection in projections::all(Catalogue::builtin()) {
            let (mut plain, mut stored) = (projection.fresh(), projection.fresh());
            for event in &recorded {
                projection.apply(&mut plain, event).unwrap();
                projection.apply(&mut stored, event).unwrap();
                let json = projection.encode(&stored).unwrap();
                stored = projection.decode(&json).unwrap();
                prop_assert_eq!(text(&*projection, &plain), text(&*projection, &stored));
            }
        }
    }

    /// Whatever comes: what is told only advances, shares are shares, and every life is in one phase.
    #[test]
    fn what_is_told_holds_together(events in prop::collection::vec(event(), 1..60)) {
        let store = Store::in_memory().unwrap();
        let count = events.len() as u64;
        store.append("s", events).unwrap();
        let lives = store.project(Lifecycle::new(Catalogue::builtin())).unwrap().state("s").unwrap();
        for (kind, tally) in &lives.kinds {
            prop_assert_eq!(tally.phases.values().sum::<u64>(), tally.lives, "{}", kind);
            prop_assert_eq!(tally.lives, lives.entities[kind].len() as u64, "{}", kind);
        }
        let progress = store.project(Progress::new(Catalogue::builtin())).unwrap();
        let mut before: Option<(f64, u64)> = None;
        for change in progress.history("s").unwrap() {
            let Some(session) = change.unwrap().state.session else { continue };
            let Some(fraction) = session.fraction else { before = None; continue };
            prop_assert!((0.0..=1.0).contains(&fraction));
            if let Some((last, restarts)) = before {
                prop_assert!(fraction >= last || session.restarts > restarts);
            }
            before = Some((fraction, session.restarts));
        }
        let figures = store.project(Stats::of_sessions()).unwrap().state("s").unwrap();
        prop_assert_eq!(figures.events, count);
        prop_assert_eq!(figures.types.values().sum::<u64>(), count);
        prop_assert_eq!(figures.chart.counts.iter().sum::<u64>(), count);
    }
}

fn text(projection: &dyn DynProjection, state: &retold::project::AnyState) -> String {
    String::from_utf8(projection.encode(state).unwrap()).unwrap()
}

/// What somebody writes who means no good, or whose program is broken.
fn hostile() -> Vec<String> {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    let long = "x".repeat(3_000);
    let words =
        ["tool_call_id", "tool", "reason", "error", "run_id", "task_id", "milestone", "stage", "provider"];
    let words: Vec<String> = words.map(|w| format!("\"{w}\":\"{long}\"")).into();
    vec![
        format!("{{{},\"model\":\"{long}\"}}", words.join(",")),
        format!("{{\"tool_call_id\":{},\"progress\":{}}}", deep(100), deep(100)),
        deep(20_000),
        r#"{"progress":1e308,"done":1e308,"total":1e-308,"tokens":1e308,"input_tokens":"NaN","cost_usd":"inf"}"#.into(),
        r#"{"progress":-1e308,"tokens":-1e308,"output_tokens":1e308,"duration_ms":-1e308,"memory_mb":1e308}"#.into(),
        r#"{"progress":1,"progress":2,"tool_call_id":"a","tool_call_id":"b","status":"running","status":7}"#.into(),
        r#"{"input_tokens":99999999999999999999999999999999999,"network_bytes":18446744073709551616}"#.into(),
        r#"{"message":{"id":{},"usage":[]},"usage":{"*":{"*":1}},"state":null,"value":[null]}"#.into(),
        "null".into(),
        "\"\\u0000\\u202e\"".into(),
    ]
}

#[test]
fn hostile_payloads_park_nobody_and_states_stay_small_and_come_back() {
    let store = Store::builder().sync(false).in_memory().unwrap();
    let catalogue = Catalogue::builtin();
    let payloads = hostile();
    let mut taken = 0;
    for (n, info) in catalogue.types().enumerate() {
        // A clock that goes forward, back and out of all years.
        let time = Timestamp::from_micros([1_000, i64::MAX, -5, i64::MIN, 0][n % 5]);
        for payload in &payloads {
            let event = NewEvent::new(info.name().to_owned()).json_text(payload.clone()).occurred(time);
            taken += u64::from(store.append("s", event).is_ok());
        }
    }
    assert!(taken > 100, "{taken}");
    for (projection, plain) in projections::all(catalogue).into_iter().zip(projections::all(catalogue)) {
        let (name, scope) = (projection.name().to_owned(), projection.scope());
        let projected = store.project_dyn(projection).unwrap();
        projected.catch_up().unwrap();
        for reading in projected.list(|_| true).unwrap() {
            assert_eq!(reading.parked, None, "{name}");
            let bytes = reading.state.to_string().len();
            assert!(bytes < 1_000_000, "{name} of {} has {bytes} bytes", reading.of);
        }
        if scope != Scope::Branch {
            continue;
        }
        // From its snapshots it is what a fold that never left memory gives.
        let reading = projected.read("s").unwrap();
        let mut state = plain.fresh();
        for event in store.events(Query::branch(format!("s@{}", reading.at)).unwrap()).unwrap() {
            plain.apply(&mut state, &event.unwrap()).unwrap();
        }
        let due: serde_json::Value = serde_json::from_slice(&plain.encode(&state).unwrap()).unwrap();
        assert_eq!(reading.state, due, "{name}");
    }
}
