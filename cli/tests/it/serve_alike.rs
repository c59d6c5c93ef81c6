//! What the server answers is what the program prints: one JSON for both, noun by noun.

use serde_json::Value;

use crate::serve::Serving;
use crate::shell::{Shell, json};

/// What the program prints with `-o json`, the path that answers the same, and where in the answer it is.
const ALIKE: [(&[&str], &str, &str); 20] = [
    (&["ls"], "/v1/sessions", "/sessions"),
    (&["ls", "--sort", "name", "--reverse"], "/v1/sessions?sort=name&reverse=true", "/sessions"),
    (&["ls", "--label", "team", "--status", "none"], "/v1/sessions?label=team&status=none", "/sessions"),
    (&["label", "s"], "/v1/sessions/s/labels", "/labels"),
    (&["branches", "s"], "/v1/sessions/s/branches", "/branches"),
    (&["show", "s", "--events"], "/v1/sessions/s/show?events=true", "/entries"),
    (&["show", "s/b", "--speaker", "user"], "/v1/sessions/s/branches/b/show?speaker=user", "/entries"),
    (&["timeline", "s"], "/v1/sessions/s/timeline", ""),
    (&["describe", "s/b"], "/v1/sessions/s/branches/b/describe", ""),
    (&["diff", "s", "main", "b"], "/v1/diff?left=s/main&right=s/b", "/pairs"),
    (&["search", "login"], "/v1/search?q=login", "/hits"),
    (&["stats"], "/v1/stats", ""),
    (&["stats", "s"], "/v1/sessions/s/stats", ""),
    (&["state", "counts", "s"], "/v1/projections/counts?session=s", ""),
    (&["state", "counts", "s", "--history"], "/v1/projections/counts/history?session=s", "/changes"),
    (&["consumer", "ls"], "/v1/consumers", "/consumers"),
    (&["dead-letters", "ls"], "/v1/dead-letters", "/dead_letters"),
    (&["timers", "ls"], "/v1/timers", "/timers"),
    (&["lease", "ls"], "/v1/leases", "/leases"),
    (&["types", "tool.invoked"], "/v1/types/tool.invoked", ""),
];

/// Of every noun something.
fn filled() -> Shell {
    let shell = Shell::with_a_session();
    let said = r#"{"text": "why does the login time out"}"#;
    shell.ok(&["append", "s", "message.user", "--data", said]);
    shell.ok(&["append", "s/b", "message.user", "--data", said]);
    shell.ok(&["append", "s", "run.started", "--data", r#"{"run_id": "r"}"#]);
    shell.ok(&["append", "other", "mail.requested", "--source", "post"]);
    shell.ok(&["label", "s", "team=search"]);
    shell.ok(&["label", "other", "team=post"]);
    shell.ok(&["consumer", "add", "mailer", "--type", "mail.*"]);
    let delivered = json(&shell.ok(&["consumer", "next", "mailer", "-o", "json"]));
    let token = delivered["token"].as_str().unwrap();
    shell.ok(&["consumer", "park", "mailer", token, "--reason", "no such host"]);
    shell.ok(&["timers", "add", "s", "run.timed_out", "--after", "10m"]);
    shell.ok(&["lease", "acquire", "s", "--holder", "worker-1", "--for", "1h"]);
    shell
}

/// Without what depends on when it is asked for.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.remove("per_minute");
            members.remove("events_per_minute");
            members.values_mut().for_each(|member| *member = timeless(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}

#[test]
fn the_server_and_the_program_say_the_same() {
    let shell = filled();
    let serving = Serving::start(&shell, &[]);
    let mut differ = Vec::new();
    for (args, path, at) in ALIKE {
        let answer = serving.ask(&format!("GET {path}"), "", "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let answer = json(&answer.body);
        let served = answer.pointer(at).unwrap_or_else(|| panic!("{path} has no {at}: {answer}"));
        let printed = json(&shell.ok(&[args, &["-o", "json"]].concat()));
        assert!(!printed.as_array().is_some_and(Vec::is_empty), "{args:?} prints nothing");
        // Some verbs print the whole of what others print a part of.
        let printed = printed.pointer(at).cloned().unwrap_or(printed);
        let (printed, served) = (timeless(printed), timeless(served.clone()));
        if printed != served {
            differ.push(format!("{args:?} prints {printed}\n{path} answers {served}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
