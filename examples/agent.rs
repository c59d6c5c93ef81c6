//! An agent that survives: every step is recorded before and after it happens, so a new process goes on where the old
//! one stopped, and another attempt can begin at any step. `docs/tutorial.md` walks through it.
//!
//! The model is a few lines of Rust here, so that this runs anywhere. Put yours in its place.

use retold::agents::projections::Conversation;
use retold::event::{Catalogue, payload};
use retold::{Address, Event, Expect, NewEvent, Query, Sequence, Store};
use serde_json::{Value, json};

/// What a model can answer.
enum Answer {
    Call { tool: &'static str, args: Value },
    Text(&'static str),
}

/// What the model says to the conversation so far. A real one would be asked over the network here.
fn model(history: &[Event], is_careful: bool) -> Answer {
    let results = history.iter().filter(|event| event.kind() == "tool.completed").count();
    match (results, is_careful) {
        (0, _) => Answer::Call { tool: "grep", args: json!({"pattern": "normalize", "path": "src/"}) },
        (1, true) => Answer::Call { tool: "cargo", args: json!({"command": "cargo test login"}) },
        (1, false) => Answer::Text("I guess that normalize() is wrong."),
        (_, _) => Answer::Text("normalize() is called twice; the second call drops the umlaut."),
    }
}

/// Tools do something in the world: this must not happen twice by accident.
fn tool(name: &str, _args: &Value) -> Value {
    match name {
        "grep" => json!("src/login.rs:7\nsrc/name.rs:3"),
        _ => json!("test result: ok"),
    }
}

struct Agent<'s> {
    store: &'s Store,
    branch: Address,
    is_careful: bool,
}

impl Agent<'_> {
    /// Everything that has happened, from the store alone.
    fn history(&self) -> retold::Result<Vec<Event>> {
        self.store.events(Query::branch(&self.branch)?)?.collect()
    }

    /// Records the next event, and fails if another process has recorded one in the meantime.
    fn record(&self, history: &[Event], event: NewEvent) -> retold::Result<()> {
        let head = history.last().map_or(Sequence::ZERO, Event::sequence);
        self.store.append_if(&self.branch, Expect::Head(head), event)?;
        Ok(())
    }

    /// Does what comes next. `false` when the conversation is over.
    fn step(&self) -> retold::Result<bool> {
        let history = self.history()?;
        let Some(last) = history.last() else { return Ok(false) };
        match last.kind() {
            // The last process stopped between the call and its result.
            "tool.invoked" => {
                let call: payload::tool::ToolInvoked = last.json()?;
                let (name, args) = (call.tool.unwrap_or_default(), call.args.unwrap_or_default());
                let result = json!({"tool": name, "result": tool(&name, &args)});
                // Tied to its call. A second process that does the same is refused: the head has moved.
                self.record(&history, NewEvent::new("tool.completed").causation(last.id()).data(result))?;
            }
            "message.assistant" => return Ok(false),
            _ => match model(&history, self.is_careful) {
                Answer::Call { tool, args } => {
                    let call = json!({"tool": tool, "args": args});
                    self.record(&history, NewEvent::new("tool.invoked").data(call))?;
                }
                Answer::Text(text) => {
                    let said = json!({"text": text, "model": "example-1"});
                    self.record(&history, NewEvent::new("message.assistant").data(said))?;
                }
            },
        }
        Ok(true)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("agents.redb");
    let branch: Address = "fix-login".parse()?;

    // A first process is asked something, makes one call, and dies.
    let store = Store::open(&path)?;
    let asked = json!({"text": "Login fails for names with an umlaut."});
    store.append_if(&branch, Expect::Empty, NewEvent::new("message.user").data(asked))?;
    let agent = Agent { store: &store, branch: branch.clone(), is_careful: false };
    agent.step()?;
    println!("first process: stopped after {} events", store.head(&branch)?);
    store.close()?;

    // A second one finds the open call, and goes on to the end.
    let store = Store::open(&path)?;
    let agent = Agent { store: &store, branch: branch.clone(), is_careful: false };
    while agent.step()? {}
    println!("second process: done after {} events", store.head(&branch)?);

    // The answer is poor. Another attempt begins after the first tool's result; the old one stays.
    store.fork("fix-login@3", "careful")?;
    let second: Address = "fix-login/careful".parse()?;
    let agent = Agent { store: &store, branch: second.clone(), is_careful: true };
    while agent.step()? {}

    for branch in [&branch, &second] {
        let last = store.events(Query::branch(branch)?.reverse().limit(1))?.next().transpose()?;
        let said: Value = last.map(|event| event.json()).transpose()?.unwrap_or_default();
        println!("{branch}: {}", said.get("text").and_then(Value::as_str).unwrap_or("?"));
    }
    let diff = store.diff(&branch, &second)?;
    println!("they share {} events", diff.common);

    // State is folded from the events, here and as of any earlier one.
    let talks = store.project(Conversation::new(Catalogue::builtin()))?;
    let talk = talks.state(second)?;
    println!("{}: {} calls", talk.title().unwrap_or("?"), talk.calls);
    store.close()?;
    Ok(())
}
