//! Timers and settings through the real program.

use crate::shell::{Shell, json};

#[test]
fn a_timer_is_made_listed_cancelled_and_fired() {
    let shell = Shell::new();
    let add =
        |args: &[&str]| json(&shell.ok(&[&["timers", "add", "s", "step.done", "-o", "json"], args].concat()));
    let soon = add(&["--after", "0s", "--data", "{\"n\": 1}"]);
    let far = add(&["--at", "2100-01-01T00:00:00Z"]);
    let gone = add(&["--after", "1h 30m"]);
    assert_eq!(
        (&soon["clock"], &far["clock"], &far["due"]),
        (&"after".into(), &"at".into(), &"2100-01-01T00:00:00.000000Z".into())
    );
    let id = |timer: &serde_json::Value| timer["id"].as_str().unwrap().to_owned();
    let listed = || {
        json(&shell.ok(&["timers", "ls", "-o", "json"]))
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(), [id(&soon), id(&gone), id(&far)]);
    let table = shell.ok(&["timers", "ls", "-o", "table"]);
    assert!(table.contains("due") && table.contains("{\"n\": 1}") && table.contains("1h"), "{table}");
    let cancelled = json(&shell.ok(&["timers", "cancel", &id(&gone), "-o", "json"]));
    assert_eq!((&cancelled["id"], &cancelled["done"]), (&gone["id"], &"cancelled".into()));
    let again = shell.fails(4, &["timers", "cancel", &id(&gone)]);
    assert!(again.contains("there is no timer") && again.contains("retold timers ls"), "{again}");
    let fired = json(&shell.ok(&["timers", "run", "--once", "-o", "json"]));
    assert_eq!((&fired["recorded"], &fired["refused"]), (&1.into(), &0.into()));
    let event = json(&shell.ok(&["read", "s", "-o", "jsonl"]));
    assert_eq!((&event["id"], &event["time"]), (&soon["id"], &soon["due"]));
    assert_eq!(json(&shell.ok(&["timers", "run", "--once", "-o", "json"]))["recorded"], 0);
    assert_eq!(listed(), [id(&far)]);
}

#[test]
fn a_timer_that_cannot_be_is_refused_with_the_way_out() {
    let shell = Shell::with_a_session();
    let past = shell.fails(7, &["timers", "add", "s", "a.b", "--at", "2001-01-01T00:00:00Z"]);
    assert!(past.contains("2001-01-01") && past.contains("past") && past.contains("retold append"), "{past}");
    shell.fails(2, &["timers", "add", "s", "a.b"]);
    shell.fails(2, &["timers", "add", "s", "a.b", "--after", "soon"]);
    shell.fails(2, &["timers", "add", "s", "a.b", "--after=-5s"]);
    shell.fails(7, &["timers", "add", "s", "a.b", "--at", "noon"]);
    shell.fails(4, &["timers", "add", "s/nowhere", "a.b", "--after", "1s"]);
    shell.fails(7, &["timers", "add", "s@1", "a.b", "--after", "1s"]);
    shell.fails(7, &["timers", "add", "s", "a.b", "--after", "1s", "--data", "{"]);
    shell.fails(7, &["timers", "cancel", "x"]);
    assert_eq!(shell.ok(&["timers", "ls", "-o", "jsonl"]), "");
}

#[test]
fn timers_run_until_they_are_stopped_and_let_others_write() {
    let shell = Shell::new();
    shell.ok(&["timers", "add", "s", "step.done", "--after", "300ms", "-o", "json"]);
    let mut child = shell
        .command(&["timers", "run", "-o", "jsonl"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        json(&line)["recorded"].as_u64().unwrap()
    };
    assert_eq!(next(), 1);
    // Made by another process while it waits for nothing.
    shell.ok(&["timers", "add", "s", "step.done", "--after", "0s", "-o", "json"]);
    assert_eq!(next(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(shell.head("s"), 2);
}

#[test]
fn every_setting_is_shown_with_its_origin_and_reaches_the_store() {
    let shell = Shell::new();
    std::fs::write(shell.path("retold.toml"), "store = \"own.redb\"\nmax_payload_bytes = 10\n").unwrap();
    let shown = || {
        let all = json(&shell.ok(&["info", "--config", "-o", "json", "--strict-types"]));
        all.as_array().unwrap().clone()
    };
    let of = |key: &str| shown().into_iter().find(|s| s["key"] == key).unwrap();
    assert_eq!(shown().len(), retold::config::KEYS.len());
    assert!(of("max_payload_bytes")["place"].as_str().unwrap().ends_with("retold.toml, line 2"));
    assert_eq!(
        (of("strict_types")["from"].as_str(), of("sync")["from"].as_str()),
        (Some("given"), Some("default"))
    );
    let table = shell.ok(&["info", "--config", "-o", "table"]);
    assert!(table.contains("cache_bytes") && table.contains("default"), "{table}");
    shell.ok(&["append", "s", "a.b", "-q"]);
    assert!(shell.path("own.redb").exists() && !shell.store().exists());
    let large = shell.fails(7, &["append", "s", "a.b", "--data", "\"0123456789\""]);
    assert!(large.contains("the limit of this store is 10"), "{large}");
    let mut command = shell.command(&["info", "--config", "-o", "json"]);
    let said = crate::shell::Said::of(command.env("RETOLD_MAX_PAYLOAD_BYTES", "20").output().unwrap());
    let all = json(&said.out);
    let payload = all.as_array().unwrap().iter().find(|s| s["key"] == "max_payload_bytes").unwrap();
    assert_eq!((&payload["value"], &payload["place"]), (&20.into(), &"RETOLD_MAX_PAYLOAD_BYTES".into()));
}

#[test]
fn a_mistake_in_the_settings_is_told_with_its_place_and_does_not_stop_the_manual() {
    let shell = Shell::new();
    std::fs::write(shell.path("retold.toml"), "cashe_bytes = 1\n").unwrap();
    let said = shell.fails(7, &["sessions"]);
    assert!(
        said.contains("`cashe_bytes`") && said.contains("line 1") && said.contains("`cache_bytes`"),
        "{said}"
    );
    assert!(shell.ok(&["man"]).contains("retold"));
    std::fs::write(shell.path("other.toml"), "workers = 0\n").unwrap();
    let said = shell.fails(7, &["info", "--config", "--config-file", "other.toml"]);
    assert!(said.contains("workers is `0`") && said.contains("from 1 to 4096"), "{said}");
    shell.fails(4, &["info", "--config-file", "none.toml"]);
}
