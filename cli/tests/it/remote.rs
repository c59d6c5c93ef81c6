//! The program on the store of another machine: `--store https://…` against `retold serve`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::shell::{Said, Shell, json, steady};

const SECRET: &str = "5f0c3a1be2d94c6f8a7b5f0c3a1be2d9";
const NARROW: &str = "6f0c3a1be2d94c6f8a7b5f0c3a1be2d9";
const READS: &str = "7f0c3a1be2d94c6f8a7b5f0c3a1be2d9";

/// An event that happened when the others did.
const LINE: &str = "{\"session\": \"n\", \"type\": \"a.b\", \"time\": \"2026-02-03T04:05:08Z\"}\n";

/// `retold serve` over TLS, with tokens; ended with the test.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine that has the store, and one that has nothing.
struct Machines {
    has: Shell,
    away: Shell,
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Machines {
    fn of(has: Shell) -> Self {
        let away = Shell::new();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(has.path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(away.path("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(has.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(has.path("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let token = |name: &str, secret: &str, rest: &str| {
            format!("[[token]]\nname = '{name}'\nsecret = '{secret}'\n{rest}\n")
        };
        let tokens = [
            token("all", SECRET, "scope = 'admin'"),
            token("narrow", NARROW, "scope = 'admin'\nsessions = 'build-*'"),
            token("reads", READS, "scope = 'read'"),
        ];
        write_private(&has.path("tokens.toml"), &tokens.concat());
        write_private(&away.path("token"), &format!("{SECRET}\n"));
        Self { has, away }
    }

    fn serve(&self, listen: &str) -> Server {
        let args = ["serve", "--listen", listen, "--tokens", "tokens.toml"];
        let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--wait", "60"];
        let mut command = self.has.command(&[&args[..], &tls].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = json(&line)["urls"][0].as_str().unwrap().to_owned();
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        Server { child, url }
    }

    /// The program on the other machine.
    fn command(&self, server: &Server, args: &[&str]) -> Command {
        let mut command = self.away.command(args);
        command.env("RETOLD_STORE", &server.url).env("RETOLD_CA", "ca.pem").env("RETOLD_TOKEN", SECRET);
        command
    }

    fn run(&self, server: &Server, args: &[&str]) -> Said {
        Said::of(self.command(server, args).output().unwrap())
    }

    #[track_caller]
    fn ok(&self, server: &Server, args: &[&str]) -> String {
        let said = self.run(server, args);
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{args:?}");
        said.out
    }
}

/// A store whose events have the same ids every time.
fn seeded() -> Shell {
    let shell = Shell::new();
    for (n, kind, data) in [
        (1, "run.started", r#"{"goal": "fix the login"}"#),
        (2, "message.user", r#"{"text": "the login fails for names with an umlaut"}"#),
        (3, "step.done", r#"{"n": 3}"#),
    ] {
        let (id, time) =
            (format!("0199f3c2-5d00-7000-8000-00000000000{n}"), format!("2026-02-03T04:05:0{n}Z"));
        shell.ok(&["append", "s", kind, "--data", data, "--time", &time, "--id", &id]);
    }
    shell.ok(&["fork", "s@2", "b"]);
    let id = "0199f3c2-5d00-7000-8000-000000000009";
    shell.ok(&["append", "s/b", "step.failed", "--time", "2026-02-03T04:05:07Z", "--id", id]);
    shell
}

#[test]
fn every_verb_says_the_same_and_ends_the_same_as_beside_the_file() {
    let (beside, far) = (seeded(), Machines::of(seeded()));
    let server = far.serve("127.0.0.1:0");
    for shell in [&beside, &far.away] {
        std::fs::write(shell.path("in.ndjson"), LINE).unwrap();
    }
    let id = "0199f3c2-5d00-7000-8000-0000000000aa";
    let other = "0199f3c2-5d00-7000-8000-0000000000ab";
    let time = "2026-02-03T04:06:00Z";
    let verbs: &[&[&str]] = &[
        &["append", "s", "step.done", "--data", "1", "--id", id, "--time", time],
        &["append", "s", "step.done", "--data", "1", "--id", id, "--time", time],
        &["append", "s", "step.done", "--data", "2", "--id", id, "--time", time],
        &["append", "s", "step.done", "--expect", "17"],
        &["append", "s", "no type"],
        &["append", "s", "step.done", "--data", "{"],
        &["append", "new", "step.done", "--id", other, "--time", time],
        &["append", "--ndjson", "in.ndjson", "-q"],
        &["read", "s"],
        &["read", "s/none"],
        &["read", "none"],
        &["read", "s", "--where", "/n == 3"],
        &["read", "--all", "--reverse"],
        &["tail", "--all", "--no-follow", "-q"],
        &["get", id],
        &["get", "ffffffff-ffff-7fff-8fff-ffffffffffff"],
        &["show", "s", "-o", "jsonl"],
        &["search", "umlaut"],
        &["search", "nowhere"],
        &["sessions"],
        &["ls", "-o", "jsonl"],
        &["describe", "s"],
        &["stats", "s"],
        &["branches", "s"],
        &["fork", "s@1", "c"],
        &["fork", "s@1", "c"],
        &["fork", "s@99", "d"],
        &["diff", "s", "main", "b"],
        &["log", "s", "--graph"],
        &["adopt", "s/c"],
        &["promote", "s/b"],
        &["state", "lifecycle", "s"],
        &["state-diff", "counts", "s@1", "s@3"],
        &["timeline", "s"],
        &["alerts"],
        &["projections"],
        &["rebuild", "lifecycle", "-q"],
        &["label", "s", "team=core"],
        &["note", "s", "looked at it"],
        &["consumer", "add", "w"],
        &["consumer", "add", "w", "--max-deliveries", "9"],
        &["consumer", "ls"],
        &["consumer", "next", "none"],
        &["consumer", "reset", "w"],
        &["consumer", "rm", "w"],
        &["dead-letters", "ls"],
        &["timers", "ls"],
        &["timers", "run", "--once"],
        &["lease", "ls"],
        &["imports"],
        &["export", "s", "--to", "cloudevents"],
        &["close", "s/b"],
        &["append", "s/b", "step.done"],
        &["expire", "s/c", "--unused", "30d"],
        &["truncate", "s", "--before", "2"],
        &["read", "s", "--from", "1"],
        &["retain", "--max-events", "1", "--dry-run"],
        &["delete", "n"],
        &["purge"],
        &["compact", "-q"],
        &["verify"],
        &["types"],
    ];
    let told = |said: &Said, shell: &Shell| {
        let dir = shell.path("");
        // Seconds that something took, bytes of files, and when something happened.
        let out: String =
            steady(&said.out, &dir).lines().map(without_measures).collect::<Vec<_>>().join("\n");
        (said.exit, out, steady(&said.err, &dir))
    };
    for verb in verbs {
        let (here, there) = (beside.run(verb), far.run(&server, verb));
        let (here, there) = (told(&here, &beside), told(&there, &far.away));
        assert_eq!(here, there, "{verb:?}");
    }
}

/// A line of JSON without what differs between two runs.
fn without_measures(line: &str) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                let measures = [
                    "seconds", "bytes", "before", "after", "recorded", "created", "last", "age", "path",
                    "file",
                ];
                members.retain(|name, _| !measures.contains(&name.as_str()) && !name.ends_with("_bytes"));
                members.values_mut().for_each(strip);
            }
            Value::Array(all) => all.iter_mut().for_each(strip),
            // Also to the microsecond.
            Value::String(text) if text.starts_with("0000-00-00T00:00:00") => "now".clone_into(text),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(line) {
        Ok(mut value) => {
            strip(&mut value);
            value.to_string()
        }
        Err(_) => line.to_owned(),
    }
}

#[test]
fn work_is_delivered_leased_and_recorded_from_afar() {
    let far = Machines::of(seeded());
    let server = far.serve("127.0.0.1:0");
    let info = json(far.ok(&server, &["info", "-o", "json"]).trim());
    assert_eq!(
        (&info["path"], &info["owner"]["program"]),
        (&server.url.clone().into(), &"retold serve".into())
    );
    assert_eq!(info["owner"]["clients"][0]["program"], "retold info", "{info}");
    far.ok(&server, &["consumer", "add", "w", "-q"]);
    let next = json(far.ok(&server, &["consumer", "next", "w", "-o", "json"]).trim());
    let next = next.get(0).cloned().unwrap_or(next);
    let token = next["token"].as_str().unwrap().to_owned();
    far.ok(&server, &["consumer", "ack", "w", &token, "-q"]);
    assert_eq!(far.run(&server, &["consumer", "ack", "w", &token]).exit, 3);
    let lease = json(
        far.ok(&server, &["lease", "acquire", "s", "--holder", "me", "--for", "1h", "-o", "json"]).trim(),
    );
    let lease = lease["token"].as_str().unwrap();
    far.ok(&server, &["append", "s", "step.done", "--lease", lease, "-q"]);
    assert_eq!(far.run(&server, &["lease", "acquire", "s", "--holder", "you", "--for", "1h"]).exit, 3);
    far.ok(&server, &["timers", "add", "s", "a.b", "--after", "1h", "-q"]);
    assert_eq!(far.ok(&server, &["timers", "ls"]).lines().count(), 1);
    // Beside the server it is all there.
    assert_eq!(far.has.ok(&["timers", "ls", "--wait", "20"]).lines().count(), 1);
    assert_eq!(far.has.ok(&["read", "s", "--wait", "20"]).lines().count(), 4);
}

#[test]
fn what_needs_the_file_says_where_to_do_it() {
    let far = Machines::of(seeded());
    let server = far.serve("127.0.0.1:0");
    far.ok(&server, &["backup", "copy.redb", "-q"]);
    let there = far.away.ok(&["read", "s", "--store", "copy.redb"]);
    assert_eq!(there, far.ok(&server, &["read", "s"]));
    let since = far.run(&server, &["backup", "later.redb", "--since", "copy.redb"]);
    assert!(since.exit == 1 && since.err.contains("on the machine of the store"), "{}", since.err);
    assert!(!far.away.path("later.redb").exists() && !far.has.path("copy.redb").exists());
    for verb in [&["serve"][..], &["demo", "--fast", "--store", &server.url], &["restore", "copy.redb"]] {
        let said = far.run(&server, verb);
        assert!(said.exit == 2 && said.err.contains("--store is a URL"), "{verb:?}: {}", said.err);
    }
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let far = Machines::of(seeded());
    let server = far.serve("127.0.0.1:0");
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let at = |scheme: &str, rest: &str| format!("{scheme}://{rest}:{port}");
    let with_token = |secret: &str| {
        let mut command = far.command(&server, &["sessions"]);
        command.env("RETOLD_TOKEN", secret);
        Said::of(command.output().unwrap())
    };
    for (secret, says) in [
        (NARROW, "narrow"),
        (READS, "reads"),
        ("unknown-unknown-unknown", "RETOLD_TOKEN"),
        ("", "--token-file"),
    ] {
        let said = with_token(secret);
        assert!(said.exit == 1 && said.out.is_empty() && said.err.contains(says), "{secret}: {}", said.err);
        assert!(secret.is_empty() || !said.err.contains(secret), "{}", said.err);
    }
    assert_eq!(with_token("two words").exit, 7);
    let beyond = format!("https://127.0.0.1:{port}/v1");
    let query = format!("https://127.0.0.1:{port}?token={SECRET}");
    let user = at("https", &format!("{SECRET}@127.0.0.1"));
    for (store, exit, says) in [
        (&at("http", "127.0.0.1"), 1, "https://"),
        (&"http://192.0.2.1:7878".to_owned(), 7, "--allow-http"),
        (&beyond, 7, "path"),
        (&query, 7, "RETOLD_TOKEN"),
        (&user, 7, "RETOLD_TOKEN"),
    ] {
        let said = far.run(&server, &["sessions", "--store", store]);
        assert!(
            said.exit == exit && said.err.contains(says) && !said.err.contains(SECRET),
            "{store}: {}",
            said.err
        );
    }
    // Nobody is there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = far.run(&server, &["sessions", "--store", &format!("https://{free}"), "--wait", "0"]);
    assert!(
        said.exit == 5 && said.err.contains("cannot be reached") && said.err.contains("--wait"),
        "{}",
        said.err
    );
    // A certificate that is not trusted, and files that are none.
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(far.away.path("other.pem"), other.cert.pem()).unwrap();
    for (ca, exit, says) in
        [("other.pem", 1, "not trusted"), ("none.pem", 4, "none.pem"), ("token", 7, "--ca")]
    {
        let said = far.run(&server, &["sessions", "--ca", ca]);
        assert!(said.exit == exit, "{ca}: {}", said.err);
        assert!(said.err.contains(says) || said.err.contains(ca), "{ca}: {}", said.err);
    }
}

#[test]
fn a_token_comes_from_a_private_file_and_never_from_the_command_line() {
    let far = Machines::of(seeded());
    let server = far.serve("127.0.0.1:0");
    let with = |args: &[&str]| {
        let mut command = far.command(&server, &[&["sessions", "-q"], args].concat());
        command.env_remove("RETOLD_TOKEN");
        Said::of(command.output().unwrap())
    };
    assert_eq!(with(&["--token-file", "token"]).exit, 0);
    let said = with(&["--token", SECRET]);
    assert!(
        said.exit == 2 && said.err.contains("--token-file") && !said.err.contains(SECRET),
        "{}",
        said.err
    );
    std::fs::set_permissions(far.away.path("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = with(&["--token-file", "token"]);
    assert!(said.exit == 7 && said.err.contains("chmod 600") && !said.err.contains(SECRET), "{}", said.err);
    assert_eq!(with(&["--token-file", "none"]).exit, 4);
}

/// What a command prints, line by line.
fn lines_of(mut command: Command) -> (Child, std::io::Lines<BufReader<std::process::ChildStdout>>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn a_tail_misses_and_repeats_nothing_while_the_server_ends_and_an_application_takes_over() {
    let far = Machines::of(Shell::new());
    let mut server = far.serve("127.0.0.1:0");
    let listen = server.url.strip_prefix("https://").unwrap().to_owned();
    far.ok(&server, &["append", "s", "step.done", "--data", "1", "-q"]);
    let (mut tail, mut lines) = lines_of(far.command(&server, &["tail", "s", "--from", "start", "-q"]));
    let mut next = 1;
    let mut sees = |up_to: u64| {
        while next <= up_to {
            let event = json(&lines.next().expect("the tail goes on").unwrap());
            assert_eq!(event["sequence"].as_u64(), Some(next), "{event}");
            next += 1;
        }
    };
    sees(1);
    for (n, signal) in [(2, "-TERM"), (3, "-KILL")] {
        let id = server.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        server.child.wait().unwrap();
        // While nobody serves it.
        far.has.ok(&["append", "s", "step.done", "-q", "--wait", "60"]);
        server = far.serve(&listen);
        sees(n);
    }
    // The server becomes a client of the application, and the tail goes on.
    let store =
        retold::store::Builder::new().wait(std::time::Duration::from_secs(60)).open(far.has.store()).unwrap();
    store.append("s", retold::NewEvent::new("step.done")).unwrap();
    sees(4);
    far.ok(&server, &["append", "s", "step.done", "-q", "--wait", "60"]);
    sees(5);
    store.close().unwrap();
    far.ok(&server, &["append", "s", "step.done", "-q", "--wait", "60"]);
    sees(6);
    tail.kill().unwrap();
    tail.wait().unwrap();
}
