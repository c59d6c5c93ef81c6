//! Finding events by what they say, with the real program.

use retold::{NewEvent, Store};

use crate::shell::{Shell, json};

fn said(shell: &Shell, session: &str, text: &str) {
    let data = serde_json::json!({ "text": text }).to_string();
    let time = "2026-02-03T04:05:06Z";
    shell.ok(&["append", session, "message.user", "--data", &data, "--time", time]);
}

fn addresses(out: &str) -> Vec<String> {
    let mut all: Vec<String> =
        out.lines().map(|line| json(line)["address"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

fn find(shell: &Shell, args: &[&str]) -> Vec<String> {
    addresses(&shell.ok(&[&["search", "-o", "jsonl"][..], args].concat()))
}

#[test]
fn events_are_found_by_what_they_say() {
    let shell = Shell::new();
    said(&shell, "run-7", "The login fails with a timeout after 30 seconds.");
    said(&shell, "run-7", "Where is normalize()?");
    said(&shell, "run-8", "A timeout of the build, not of the login page.");
    let call = r#"{"tool": "grep", "args": {"pattern": "timeout"}}"#;
    shell.ok(&["append", "run-8", "tool.invoked", "--data", call]);
    assert_eq!(find(&shell, &["login", "timeout"]), ["run-7/main@1", "run-8/main@1"]);
    assert_eq!(find(&shell, &["\"with a timeout\""]), ["run-7/main@1"]);
    assert_eq!(find(&shell, &["time* -login"]), ["run-8/main@2"]);
    assert_eq!(find(&shell, &["timeout", "--session", "run-8"]).len(), 2);
    assert_eq!(find(&shell, &["timeout", "--role", "tool"]), ["run-8/main@2"]);
    assert_eq!(find(&shell, &["timeout", "--role", "user", "--role", "tool"]).len(), 3);
    assert_eq!(find(&shell, &["timeout", "--type", "message.*", "--limit", "1"]).len(), 1);
    assert_eq!(find(&shell, &["timeout", "--since", "2026-02-04T00:00:00Z"]), ["run-8/main@2"]);
    insta::assert_snapshot!("search", shell.ok(&["-o", "table", "search", "timeout", "--role", "user"]));
    insta::assert_snapshot!("search_help", shell.ok(&["search", "--help"]));
    let more = shell.run(&["-o", "table", "search", "timeout", "--limit", "1"]);
    assert!(more.err.contains("--offset 1"), "{}", more.err);
    let none = shell.run(&["-o", "table", "search", "umlaut"]);
    assert_eq!((none.exit, none.out.as_str()), (0, ""));
    assert!(none.err.contains("4 events"), "{}", none.err);
    let hit = json(&shell.ok(&["search", "normalize", "-o", "jsonl"]));
    assert_eq!(hit["snippet"], "Where is normalize()?");
    assert_eq!(hit["marks"], serde_json::json!([[9, 18]]));
    assert_eq!((&hit["speaker"], &hit["event"]["type"]), (&"user".into(), &"message.user".into()));
}

#[test]
fn the_index_is_shown_purged_and_made_again() {
    let shell = Shell::new();
    let store = Store::open(shell.store()).unwrap();
    let event = |n: u64| {
        NewEvent::new("message.user").data(serde_json::json!({ "text": format!("zsecret number{n}") }))
    };
    store.append("run-7", (0..600).map(event).collect::<Vec<_>>()).unwrap();
    store.append("run-8", NewEvent::new("run.started")).unwrap();
    store.close().unwrap();
    drop(store);
    let info = || json(&shell.ok(&["info", "-o", "json"]));
    assert!(info().get("search_index").is_none());
    assert_eq!(find(&shell, &["number599"]), ["run-7/main@600"]);
    assert_eq!(
        (&info()["search_index"]["behind"], &info()["search_index"]["texts"]),
        (&0.into(), &601.into())
    );
    assert!(shell.ok(&["info", "-o", "table"]).contains("for search: 601 texts, up to date"));
    said(&shell, "run-9", "One more timeout.");
    assert_eq!(find(&shell, &["timeout"]), ["run-9/main@1"]);
    assert_eq!(info()["search_index"]["behind"], 1);

    shell.ok(&["delete", "run-7", "--session"]);
    assert!(find(&shell, &["zsecret"]).is_empty());
    shell.ok(&["purge"]);
    let folder = shell.path("retold.redb.search");
    let mut files = 0;
    for index in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        for file in std::fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"secret"), "{}", file.display());
            files += 1;
        }
    }
    assert!(files >= 3);
    assert_eq!(find(&shell, &["timeout"]), ["run-9/main@1"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(find(&shell, &["timeout"]), ["run-9/main@1"]);
}

#[test]
fn processes_that_search_at_once_all_find_everything() {
    let shell = Shell::new();
    let store = Store::open(shell.store()).unwrap();
    let event =
        |n: u64| NewEvent::new("message.user").data(serde_json::json!({ "text": format!("login {n}") }));
    store.append("run-7", (0..2_000).map(event).collect::<Vec<_>>()).unwrap();
    // One process has the store open, and writes on; the others make the index together.
    let searches: Vec<_> = (0..6)
        .map(|_| {
            let args = ["search", "login", "--limit", "1000", "--offset", "999", "-o", "jsonl"];
            let mut command = shell.command(&args);
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    store.append("run-8", (0..10).map(event).collect::<Vec<_>>()).unwrap();
    for search in searches {
        let done = search.wait_with_output().unwrap();
        assert!(done.status.success());
        assert_eq!(String::from_utf8(done.stdout).unwrap().lines().count(), 1_000);
    }
    assert_eq!(find(&shell, &["login", "--session", "run-8"]).len(), 10);
}

#[test]
fn a_query_or_a_session_that_makes_no_sense_is_refused() {
    let shell = Shell::with_a_session();
    assert!(shell.fails(7, &["search", "…"]).contains("no word"));
    assert!(shell.fails(7, &["search", "--", "-x"]).contains("excludes"));
    assert!(shell.fails(4, &["search", "x", "--session", "nobody"]).contains("nobody"));
    assert!(shell.fails(2, &["search"]).contains("QUERY"));
}
