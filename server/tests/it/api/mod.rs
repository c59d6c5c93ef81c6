//! Everything under `/v1` but events.

use retold::{NewEvent, Store};
use retold_server::Scope;
use serde_json::{Value, json};

use crate::harness::Served;

mod consumers;
mod described;
mod examples;
mod projections;
mod search;
mod sessions;
mod shown;
mod timers;
mod whole;

/// Tokens for all sessions, for `run-*`, and for `other`.
pub(crate) const TOKENS: [(&str, Scope, &str); 6] = [
    ("all", Scope::Admin, ""),
    ("reads", Scope::Read, ""),
    ("runs", Scope::Admin, "run-*"),
    ("runs-append", Scope::Append, "run-*"),
    ("runs-read", Scope::Read, "run-*"),
    ("others", Scope::Admin, "other"),
];

/// A run with two branches, another one, and a session that not everybody sees.
pub(crate) fn fill(store: &Store) {
    let said = |kind: &'static str, text: &str| NewEvent::new(kind).data(json!({ "text": text }));
    let tool =
        NewEvent::new("tool.invoked").data(json!({ "tool": "grep", "args": { "pattern": "normalize" } }));
    store
        .append(
            "run-7",
            vec![NewEvent::new("run.started"), said("message.user", "why does the login time out"), tool],
        )
        .unwrap();
    store.fork("run-7@2", "retry").unwrap();
    store.append("run-7/retry", said("message.assistant", "the login waits for a lock")).unwrap();
    store.append("run-8", said("message.user", "draw a lock").source("sketch")).unwrap();
    store
        .append(
            "other",
            vec![said("message.user", "a secret login"), said("message.user", "the login again")],
        )
        .unwrap();
}

/// A server on it that knows [`TOKENS`].
pub(crate) async fn filled() -> Served {
    let served = Served::start(&TOKENS).await;
    fill(&served.store);
    served
}

/// What a token gets: its status and its JSON.
pub(crate) async fn got(served: &Served, token: &str, path: &str) -> (u16, Value) {
    let answer = served.ask("GET", path).token(token).send().await;
    if answer.status >= 400 {
        answer.problem();
    }
    (answer.status, answer.json())
}

/// The answer to a request with a body.
pub(crate) async fn did(served: &Served, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = served.ask(method, path).token(token).json(&body).send().await;
    if answer.status >= 400 {
        answer.problem();
    }
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

/// The members of this name of all items.
pub(crate) fn each<'a>(items: &'a Value, name: &str) -> Vec<&'a str> {
    items.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}
