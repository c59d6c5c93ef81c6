//! A projection from start to end: written, read at any moment, parked by an event it does not understand, mended.

use std::collections::BTreeMap;

use retold::project::{ApplyError, Projection};
use retold::{Error, Event, Filter, NewEvent, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a run has spent, by model.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Spent {
    tokens: u64,
    by_model: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Call {
    model: String,
    tokens: u64,
}

/// `lenient` is the mended form, so it is a version of its own.
struct Spending {
    lenient: bool,
}

impl Projection for Spending {
    type State = Spent;

    fn name(&self) -> &str {
        "spending"
    }

    fn version(&self) -> u32 {
        if self.lenient { 2 } else { 1 }
    }

    fn interests(&self) -> Filter {
        match "model.called".parse() {
            Ok(pattern) => Filter::new().pattern(pattern),
            Err(_) => Filter::new(),
        }
    }

    fn apply(&self, spent: &mut Spent, event: &Event) -> Result<(), ApplyError> {
        let call: Call = match event.json() {
            Err(_) if self.lenient => return Ok(()),
            call => call?,
        };
        spent.tokens += call.tokens;
        *spent.by_model.entry(call.model).or_default() += call.tokens;
        Ok(())
    }
}

fn call(model: &str, tokens: u64) -> NewEvent {
    NewEvent::new("model.called").data(json!({ "model": model, "tokens": tokens }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("runs.redb");
    let store = Store::open(&path)?;
    let spending = store.project(Spending { lenient: false })?;

    store.append("run-7", [call("small", 120), call("large", 900), call("small", 80)])?;
    store.fork("run-7@1", "retry")?;
    store.append("run-7/retry", call("small", 200))?;

    println!("run-7 has spent {} tokens", spending.state("run-7")?.tokens);
    println!("after its first call it had spent {}", spending.state("run-7@1")?.tokens);
    println!("the retry has spent {}", spending.state("run-7/retry")?.tokens);
    for change in spending.history("run-7")? {
        let change = change?;
        println!("  {} {}", change.event.address(), change.state.tokens);
    }
    println!("from one to the other: {}", spending.diff_state("run-7", "run-7/retry")?);

    // The most expensive branches, of however many there are.
    let most = spending.top(10, |r| r.state.tokens > 0, |a, b| b.state.tokens.cmp(&a.state.tokens))?;
    most.iter().for_each(|r| println!("  {:>5} {}", r.state.tokens, r.of));

    // An event that it does not understand parks it there; everything before it can still be read.
    store.append("run-7", NewEvent::new("model.called").data(json!("by hand")))?;
    match spending.state("run-7") {
        Err(Error::Parked { at, reason, .. }) => println!("parked at {at}: {reason}"),
        other => println!("not parked: {other:?}"),
    }
    println!("the last good state: {}", spending.last_good("run-7")?.state.tokens);
    drop(spending);
    store.close()?;

    // The mended code has another version: its states are built anew, and are right while they are.
    let store = Store::open(&path)?;
    let spending = store.project(Spending { lenient: true })?;
    println!("mended: {}", spending.state("run-7")?.tokens);
    if let Some(rebuild) = spending.rebuilding() {
        rebuild.wait()?;
    }
    drop(spending);
    store.close()?;
    Ok(())
}
