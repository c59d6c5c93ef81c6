//! Everything under `/v1` but events.

use retold::{NewEvent, Store};
use retold_server::Scope;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

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
    is_documented(served, "GET", path, answer.status).await;
    (answer.status, answer.json())
}

/// The statuses of all operations: method, parts of the path, statuses.
type Statuses = Vec<(String, Vec<String>, Vec<String>)>;

static STATUSES: OnceCell<Statuses> = OnceCell::const_new();

async fn statuses(served: &Served) -> Statuses {
    let described = served.get("/v1/openapi.json").await.json();
    let mut all = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parts = path.split('/').map(str::to_owned).collect();
            let statuses = operation["responses"].as_object().unwrap().keys().cloned().collect();
            all.push((method.to_uppercase(), parts, statuses));
        }
    }
    all
}

/// Whatever an operation answers is in its description.
pub(crate) async fn is_documented(served: &Served, method: &str, path: &str, status: u16) {
    let path = path.split('?').next().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |(own, of, _): &&(String, Vec<String>, Vec<String>)| {
        let is_alike = |(of, part): (&String, &&str)| of.starts_with('{') || of == part;
        own == method && of.len() == parts.len() && of.iter().zip(&parts).all(is_alike)
    };
    let all = STATUSES.get_or_init(|| statuses(served)).await;
    // Of those that fit, the one with the most that is spelled out.
    let named = |(_, of, _): &&(String, Vec<String>, Vec<String>)| {
        of.iter().filter(|part| !part.starts_with('{')).count()
    };
    let of = all.iter().filter(fits).max_by_key(named);
    let (_, _, statuses) = of.unwrap_or_else(|| panic!("{method} {path} is not described"));
    assert!(
        statuses.contains(&status.to_string()),
        "{method} {path} answers {status}, which is not described"
    );
}

/// The answer to a request with a body.
pub(crate) async fn did(served: &Served, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = served.ask(method, path).token(token).json(&body).send().await;
    if answer.status >= 400 {
        answer.problem();
    }
    is_documented(served, method, path, answer.status).await;
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

/// The members of this name of all items.
pub(crate) fn each<'a>(items: &'a Value, name: &str) -> Vec<&'a str> {
    items.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}
