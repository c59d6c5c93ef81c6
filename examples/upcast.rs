//! An application changes the shape of its events, and last year's are read as today's: docs/change.md tells it step by
//! step. Run it with `cargo run --example upcast`.

use std::collections::BTreeMap;
use std::path::Path;

use retold::{Filter, NewEvent, Query, Store, Upcasts};
use serde::Deserialize;
use serde_json::json;

/// The payload of `deploy.started` in version 2 of the application. Version 1 had `env` and `who`.
#[derive(Deserialize)]
struct Started {
    target: Target,
    #[serde(default)]
    by: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    environment: String,
    region: String,
}

/// The payload of `deploy.completed`. Version 1 had one `deploy.finished` with `ok` and `ms`.
#[derive(Deserialize)]
struct Completed {
    seconds: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("deploys.redb");

    // Version 1 of the application wrote these.
    let store = Store::open(&path)?;
    store
        .append("release-1", NewEvent::new("deploy.started").data(json!({"env": "staging", "who": "ada"})))?;
    store.append("release-1", NewEvent::new("deploy.finished").data(json!({"ok": true, "ms": 61_500})))?;
    store.append("release-2", NewEvent::new("deploy.started").data(json!({"env": "production"})))?;
    store.append("release-2", NewEvent::new("deploy.finished").data(json!({"ok": false, "ms": 2_000})))?;
    store.close()?;

    // Version 2 has its migrations beside its code.
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/migrations");
    let store = Store::builder().upcasts(Upcasts::from_dir(migrations)?).open(&path)?;
    let target = json!({"environment": "production", "region": "us-2"});
    store.append("release-3", NewEvent::new("deploy.started").version(2).data(json!({"target": target})))?;
    store.append("release-3", NewEvent::new("deploy.completed").data(json!({"seconds": 48.0})))?;

    // It knows one shape of each event, whoever wrote it.
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    for event in store.events(Query::all())? {
        let event = event?;
        match event.kind() {
            "deploy.started" => {
                let Started { target, by } = event.json()?;
                let by = by.unwrap_or_else(|| "somebody".to_owned());
                println!("{}: {by} deploys to {} in {}", event.session(), target.environment, target.region);
            }
            "deploy.completed" => {
                seconds.insert(event.session().to_string(), event.json::<Completed>()?.seconds);
            }
            other => println!("{}: {other}", event.session()),
        }
    }
    println!("took {seconds:?}");
    assert_eq!(seconds, BTreeMap::from([("release-1".into(), 61.5), ("release-3".into(), 48.0)]));

    // A filter finds old events under their new name, and what is stored is still there.
    let failed = Filter::new().pattern("deploy.failed".parse()?);
    for event in store.events(Query::all().filter(failed))? {
        let event = event?;
        let stored = store.get_raw(event.id())?;
        let payload = String::from_utf8_lossy(stored.payload());
        println!("{} was written as {} {payload}", event.kind(), stored.kind());
        assert_eq!(payload, r#"{"ms":2000,"ok":false}"#);
    }

    // What the steps change, with counts.
    let survey = store.maintenance().survey(|_, _| {})?;
    println!("{} of {} events are stored in an old shape", survey.old_events(), survey.events);
    assert_eq!((survey.old_events(), survey.stuck_events()), (4, 0));
    store.close()?;
    Ok(())
}
