//! Alerts: what sets the built-in rules off, silence, rules of users, and that each alert is there exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use retold::agents::projections::Alerts;
use retold::agents::projections::alerts::{Rule, Watch, When};
use retold::event::payload::coder::Coder;
use retold::event::payload::monitoring::{
    AlertBudgetExceeded, AlertBudgetWarning, AlertEscalation, AlertRateLimit, AlertRepeatedFailure,
    AlertResourceLimit, AlertStalled, AlertViolation,
};
use retold::{Event, Filter, NewEvent, Projected, Query, Store, Timestamp};
use serde_json::{Value, json};

use crate::support::{Dice, soak};
use crate::victim::{Victim, orders, tell};

const MINUTE: i64 = 60_000_000;
const NOON: i64 = 1_770_000_000_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(NOON + minutes * MINUTE)
}

fn event(minutes: i64, kind: &'static str, data: Value) -> NewEvent {
    NewEvent::new(kind).data(data).occurred(at(minutes))
}

fn raised(store: &Store, place: &str) -> Vec<Event> {
    let filter = Filter::new().pattern("alert.**".parse().unwrap());
    store.events(Query::branch(place).unwrap().filter(filter)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|e| e.kind()).collect()
}

fn watched() -> (Store, Projected<Watch>) {
    let store = Store::in_memory().unwrap();
    let alerts = store.project(Alerts::built_in()).unwrap();
    (store, alerts)
}

#[test]
fn every_warning_of_a_role_becomes_an_alert_that_the_catalogue_knows() {
    let (store, alerts) = watched();
    let coder = Coder::new("coder-1");
    let causes = [
        coder.rate_limited("acme", "large-2", Some(Duration::from_secs(20))),
        coder.resource_limit("memory", 512.0, 508.0),
        event(0, "budget.warning", json!({"resource": "tokens", "limit": 100.0, "used": 81.0})),
        event(0, "budget.exceeded", json!({"resource": "tokens", "limit": 100.0, "used": 101.0})),
        event(0, "invariant.violated", json!({"invariant_id": "i-1", "reason": "line 41 unwraps"})),
        event(0, "actor.escalated", json!({"actor_id": "reviewer", "to": "mara", "reason": "unsure"})),
    ];
    let ids: Vec<_> = causes.iter().map(NewEvent::id).collect();
    store.append("s", causes).unwrap();
    alerts.catch_up().unwrap();
    let found = raised(&store, "s");
    assert_eq!(found.iter().map(|e| e.causation().unwrap()).collect::<Vec<_>>(), ids);
    let mut more = 0;
    macro_rules! read {
        ($at:literal, $payload:ident) => {{
            let payload: $payload = found[$at].payload_as().unwrap();
            more += payload.more.len();
            payload
        }};
    }
    assert_eq!(read!(0, AlertRateLimit).entity_id.as_deref(), Some("coder-1"));
    let memory = read!(1, AlertResourceLimit);
    assert_eq!((memory.value, memory.threshold), (Some(508.0), Some(512.0)));
    assert_eq!(memory.message.as_deref(), Some("coder coder-1: resource limit: memory"));
    assert_eq!(read!(2, AlertBudgetWarning).value, Some(81.0));
    let spent = read!(3, AlertBudgetExceeded);
    assert_eq!((spent.severity.as_deref(), spent.threshold), (Some("critical"), Some(100.0)));
    assert_eq!(read!(4, AlertViolation).entity_id.as_deref(), Some("i-1"));
    assert_eq!(read!(5, AlertEscalation).message.unwrap(), "actor reviewer: escalation: unsure");
    assert_eq!(more, 0, "an alert says something that its type does not have");
    let state = alerts.state("s").unwrap();
    assert_eq!(state.raised.values().sum::<u64>(), 6);
}

#[test]
fn three_failures_of_one_entity_within_ten_minutes_are_one_alert() {
    let (store, alerts) = watched();
    let fails = |minute, id: &str| event(minute, "task.failed", json!({"task_id": id, "error": "no"}));
    let seen = |minute, id: &str| {
        store.append("s", fails(minute, id)).unwrap();
        alerts.catch_up().unwrap();
        raised(&store, "s").len()
    };
    assert_eq!([seen(0, "a"), seen(1, "b"), seen(2, "a"), seen(11, "a")], [0; 4], "the first is too old");
    assert_eq!([seen(11, "b"), seen(11, "c")], [0; 2], "of others");
    assert_eq!(seen(12, "a"), 1, "2, 11 and 12");
    assert_eq!([seen(12, "a"), seen(13, "a")], [1; 2], "it counts from the start");
    assert_eq!(seen(14, "a"), 2);
    let told: AlertRepeatedFailure = raised(&store, "s")[0].payload_as().unwrap();
    assert_eq!((told.count, told.window_ms), (Some(3), Some(600_000)));
    assert_eq!(told.entity_id.as_deref(), Some("a"));
    assert_eq!(told.message.as_deref(), Some("task a: failed 3 times within 10m: no"));
}

#[test]
fn a_silence_is_told_once_whether_an_event_ends_it_or_a_clock_finds_it() {
    let (store, alerts) = watched();
    let rules = Alerts::built_in();
    for session in ["ended", "found", "both", "waits", "done"] {
        store.append(session, event(0, "run.started", json!({}))).unwrap();
    }
    store.append("waits", event(1, "approval.requested", json!({"approval_id": "p"}))).unwrap();
    store.append("done", event(1, "run.completed", json!({}))).unwrap();
    store.fork("found", "fork").unwrap();
    assert!(rules.check_stalled(&alerts, at(14)).unwrap().is_empty(), "not yet");
    store.append("ended", event(16, "run.progress", json!({}))).unwrap();
    alerts.catch_up().unwrap();
    let found = rules.check_stalled(&alerts, at(20)).unwrap();
    let found: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["both/main@2", "found/main@2"].map(String::from).into());
    assert!(rules.check_stalled(&alerts, at(30)).unwrap().is_empty(), "told before");
    store.append("both", event(40, "run.progress", json!({}))).unwrap();
    alerts.catch_up().unwrap();
    for (session, told) in [("ended", 1), ("found", 1), ("both", 1), ("waits", 0), ("done", 0)] {
        let events = raised(&store, session);
        assert_eq!(events.len(), told, "{session}");
        assert_eq!(alerts.state(session).unwrap().raised.values().sum::<u64>(), told as u64, "{session}");
        for e in events {
            assert_eq!((e.kind(), e.occurred()), ("alert.stalled", at(15)), "{session}");
            let told: AlertStalled = e.payload_as().unwrap();
            assert_eq!(told.message.as_deref(), Some("no event for 15m while run is running"));
        }
    }
    // Whoever is late tells of the same silence in the same way.
    let of = |session| -> Value { raised(&store, session)[0].json().unwrap() };
    assert_eq!(of("ended"), of("found"));
}

#[test]
fn a_fork_that_has_not_begun_is_not_silent() {
    let (store, alerts) = watched();
    store.append("s", event(0, "run.started", json!({}))).unwrap();
    store.fork("s", "later").unwrap();
    store.append("s/later", event(60, "run.progress", json!({}))).unwrap();
    alerts.catch_up().unwrap();
    assert!(raised(&store, "s/later").is_empty());
    store.append("s/later", event(120, "run.progress", json!({}))).unwrap();
    alerts.catch_up().unwrap();
    assert_eq!(kinds(&raised(&store, "s/later")), ["alert.stalled"]);
}

#[test]
fn rules_of_users_take_part() {
    let text = r#"
[[rule]]
name = "long_context"
types = ["api_call"]
when = { above = { at = "/tokens", value = 1000 } }
by = "session"
quiet = "10m"
severity = "info"

[[rule]]
name = "cargo_fails"
types = ["tool.*"]
when = { failures = { count = 2, within = "1h" } }
by = "name"

[[rule]]
name = "many_retries"
types = ["tool.retried"]
when = { happens = { count = 2, within = "1m" } }
alert = "alert.retries"
"#;
    let store = Store::in_memory().unwrap();
    let rules = Rule::from_toml(text).unwrap();
    let alerts = store.project(Alerts::new("ours", rules).unwrap()).unwrap();
    let call = |minute, tokens| event(minute, "coder.api_call", json!({"provider": "a", "tokens": tokens}));
    let tool = |minute, kind, id| event(minute, kind, json!({"tool": "cargo", "tool_call_id": id}));
    store.append("s", [call(0, 900), call(1, 1100), call(2, 1200), call(12, 1300)]).unwrap();
    store.append("s", [tool(13, "tool.errored", "c-1"), tool(14, "tool.errored", "c-2")]).unwrap();
    store.append("s", [tool(15, "tool.retried", "c-2"), tool(15, "tool.retried", "c-2")]).unwrap();
    alerts.catch_up().unwrap();
    let found = raised(&store, "s");
    let told = ["alert.triggered", "alert.triggered", "alert.repeated_failure", "alert.retries"];
    assert_eq!(kinds(&found), told);
    assert_eq!(found[0].json::<Value>().unwrap()["message"], "tokens 1100 is above 1000");
}

/// Everything that was to be raised, and everything that was, by the event that set it off.
fn check(store: &Store) -> usize {
    let mut all = 0;
    for session in store.sessions(None, 100).unwrap() {
        let (mut due, mut failures, mut told) = (Vec::new(), 0, Vec::new());
        for event in store.events(Query::branch(session.session.as_str()).unwrap()).unwrap() {
            let event = event.unwrap();
            match event.kind() {
                "budget.warning" => due.push((event.id(), "alert.budget_warning".to_owned())),
                "tool.errored" => {
                    failures += 1;
                    if failures % 3 == 0 {
                        due.push((event.id(), "alert.repeated_failure".to_owned()));
                    }
                }
                kind if kind.starts_with("alert.") => {
                    told.push((event.causation().unwrap(), kind.to_owned()))
                }
                _ => {}
            }
        }
        all += told.len();
        assert_eq!(told, due, "{}", session.session);
    }
    all
}

fn steps(dice: &mut Dice) -> Vec<NewEvent> {
    let one = |dice: &mut Dice| match dice.under(3) {
        0 => event(0, "budget.warning", json!({"resource": "tokens"})),
        1 => event(0, "tool.errored", json!({"tool": "cargo", "tool_call_id": "c"})),
        _ => event(0, "message.user", json!({"text": "go on"})),
    };
    (0..1 + dice.under(6)).map(|_| one(dice)).collect()
}

#[test]
fn each_alert_is_there_once_across_restarts_rebuilds_and_new_rules() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let mut dice = Dice(3);
    for round in 0..8u64 {
        let store = Store::builder().sync(false).open(&path).unwrap();
        // Appended while nobody watches.
        store.append("s", steps(&mut dice)).unwrap();
        let mut rules = Rule::built_in();
        if round / 3 % 2 == 1 {
            rules.push(Rule::new("never", When::Stalled { after: Duration::from_secs(1 << 30) }));
        }
        let alerts = store.project(Alerts::new("alerts", rules).unwrap()).unwrap();
        if let Some(rebuild) = alerts.rebuilding() {
            rebuild.wait().unwrap();
        }
        for _ in 0..10 {
            store.append(format!("s{}", dice.under(3)).as_str(), steps(&mut dice)).unwrap();
        }
        if dice.one_in(2) {
            alerts.rebuild().unwrap().wait().unwrap();
        }
        alerts.catch_up().unwrap();
        check(&store);
        drop(alerts);
        store.close().unwrap();
    }
    let store = Store::open(&path).unwrap();
    assert!(check(&store) > 30);
}

#[test]
#[ignore = "the child process of the test below"]
fn the_watcher_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let flush = Duration::from_micros(dice.under(3_000));
    let store = Store::builder().project_every(flush).open(path).unwrap();
    let alerts = store.project(Alerts::built_in()).unwrap();
    loop {
        store.append(format!("s{}", dice.under(4)).as_str(), steps(&mut dice)).unwrap();
        if dice.one_in(5) {
            alerts.catch_up().unwrap();
        }
        tell("appended\n");
    }
}

#[test]
fn kills_of_the_process_that_raises_them_leave_each_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let mut dice = Dice(5);
    let mut last = BTreeMap::new();
    for seed in 0..if soak() { 200 } else { 12 } {
        let mut victim = Victim::begin("alerts::the_watcher_that_is_killed", &path, seed);
        victim.until(1 + dice.under(40), |line| line.ends_with("appended"));
        victim.kill(&mut dice, 1);
        let store = Store::open(&path).unwrap();
        let alerts = store.project(Alerts::built_in()).unwrap();
        alerts.catch_up().unwrap();
        last.insert(seed, check(&store));
        drop(alerts);
        store.close().unwrap();
    }
    assert!(last.values().max().unwrap() > &50, "{last:?}: the children were killed too soon");
}
