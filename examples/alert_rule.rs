//! Alerts from start to end: rules of one's own from TOML beside the built-in ones, a silence that only a clock can
//! find, and a restart that raises nothing twice.

use std::time::Duration;

use retold::agents::projections::Alerts;
use retold::agents::projections::alerts::{Rule, When};
use retold::event::payload::coder::Coder;
use retold::project::AlertPayload;
use retold::{Filter, NewEvent, Query, Store, Timestamp};
use serde_json::json;

/// What an application keeps beside its program.
const RULES: &str = r#"
[[rule]]
name = "expensive_call"
types = ["coder.api_call"]
when = { above = { at = "/tokens", value = 50000 } }
quiet = "10m"

[[rule]]
name = "cargo_fails"
types = ["tool.*"]
when = { failures = { count = 2, within = "1h" } }
by = "name"
severity = "critical"
"#;

fn alerts() -> Result<Alerts, Box<dyn std::error::Error>> {
    // In code: a silence of five minutes, where the built-in rule of that name waits for fifteen.
    let soon = Rule::new("stalled", When::Stalled { after: Duration::from_secs(300) });
    let rules = Rule::built_in().into_iter().chain(Rule::from_toml(RULES)?).chain([soon]);
    Ok(Alerts::new("our_alerts", rules)?)
}

fn tool(kind: &'static str, call: &str) -> NewEvent {
    NewEvent::new(kind).data(json!({"tool": "cargo", "tool_call_id": call, "error": "4 tests failed"}))
}

fn show(store: &Store) -> Result<usize, Box<dyn std::error::Error>> {
    let query = Query::branch("run-7")?.filter(Filter::new().pattern("alert.*".parse()?));
    let mut shown = 0;
    for event in store.events(query)? {
        let event = event?;
        let told: AlertPayload = event.json()?;
        println!("  {:<24} {:<9} {}", event.kind(), told.severity, told.message);
        shown += 1;
    }
    Ok(shown)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path)?;
    let watch = store.project(alerts()?)?;

    let coder = Coder::new("coder-1");
    store.append("run-7", NewEvent::new("run.started"))?;
    store.append("run-7", coder.api_call("acme", "large-2", (48_000, 9_000), Duration::from_secs(9)))?;
    store.append("run-7", [tool("tool.invoked", "c-1"), tool("tool.errored", "c-1")])?;
    store.append("run-7", [tool("tool.invoked", "c-2"), tool("tool.errored", "c-2")])?;
    store.append("run-7", coder.rate_limited("acme", "large-2", Some(Duration::from_secs(20))))?;
    watch.catch_up()?;

    // Nothing happens, which is no event: somebody who has a clock asks now and then.
    let later = Timestamp::from_micros(Timestamp::now().micros() + 6 * 60 * 1_000_000);
    for place in alerts()?.check_stalled(&watch, later)? {
        println!("a silence is told of at {place}");
    }
    println!("alerts of run-7:");
    let before = show(&store)?;
    drop(watch);
    store.close()?;

    // The next process finds them, and raises none again: not by a rebuild, and not by the same silence.
    let store = Store::open(&path)?;
    let watch = store.project(alerts()?)?;
    watch.rebuild()?.wait()?;
    watch.catch_up()?;
    alerts()?.check_stalled(&watch, later)?;
    println!("after a restart and a rebuild:");
    let after = show(&store)?;
    assert_eq!((before, after), (4, 4));
    Ok(())
}
