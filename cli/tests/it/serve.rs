//! `retold serve` through the real program, spoken to over TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::shell::{Said, Shell, json};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "5f0c3a1be2d94c6f8a7b5f0c3a1be2d9";

/// A server that is ended with the test.
pub(crate) struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: its status and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Serving {
    pub(crate) fn start(shell: &Shell, args: &[&str]) -> Self {
        let mut command = shell.command(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said = json(&line);
        assert!(said["serving"].as_str().unwrap().ends_with("retold.redb"), "{said}");
        let address = said["urls"][0].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, address }
    }

    pub(crate) fn ask(&self, request: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, body: body.to_owned() }
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.ask("GET /metrics", "", "").body;
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    fn reaches(&self, name: &str, count: u64) {
        let began = std::time::Instant::now();
        while self.metric(name) != count {
            assert!(began.elapsed() < PATIENCE, "{name} is {} and not {count}", self.metric(name));
        }
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// How it ended, and what it said on the way.
    fn wait(mut self) -> Said {
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Said { exit: self.child.wait().unwrap().code().unwrap_or(-1), out: String::new(), err }
    }
}

#[cfg(unix)]
#[test]
fn a_server_and_commands_share_a_store_until_it_is_asked_to_end() {
    for signal in ["-INT", "-TERM"] {
        let shell = Shell::with_a_session();
        let serving = Serving::start(&shell, &[]);
        assert_eq!(serving.ask("GET /health", "", "").status, 200);
        assert_eq!(serving.ask("GET /ready", "", "").status, 200);
        assert_eq!(serving.metric("retold_committed_position"), 4);
        shell.ok(&["append", "s", "step.done", "--wait", "20"]);
        assert_eq!(serving.metric("retold_committed_position"), 5);
        let info = json(&shell.ok(&["info", "-o", "json"]));
        assert_eq!(info["owner"]["program"], "retold serve", "{info}");
        serving.signal(signal);
        let said = serving.wait();
        assert_eq!((said.exit, said.err.as_str()), (0, ""), "{signal}");
        assert_eq!(shell.head("s"), 4);
    }
}

#[cfg(unix)]
#[test]
fn a_server_is_a_client_of_an_application_and_goes_on_when_that_ends() {
    let shell = Shell::with_a_session();
    let store = retold::store::Builder::new().program("the application").open(shell.store()).unwrap();
    let serving = Serving::start(&shell, &[]);
    assert_eq!(serving.ask("GET /ready", "", "").status, 200);
    store.append("s", retold::NewEvent::new("step.done")).unwrap();
    // The server is told of it a moment later.
    serving.reaches("retold_committed_position", 5);
    assert_eq!(store.maintenance().info().unwrap().owner.unwrap().program, "the application");
    store.close().unwrap();
    let began = std::time::Instant::now();
    while serving.ask("GET /ready", "", "").status != 200 {
        assert!(began.elapsed() < PATIENCE, "it does not go on");
    }
    shell.ok(&["append", "s", "step.done", "--wait", "20"]);
    serving.reaches("retold_committed_position", 6);
    serving.signal("-TERM");
    assert_eq!(serving.wait().exit, 0);
}

#[cfg(unix)]
#[test]
fn events_are_recorded_over_http_while_a_command_appends() {
    let shell = Shell::with_a_session();
    let serving = Serving::start(&shell, &[]);
    let mut command = shell.command(&["append", "--ndjson", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = child.stdin.take().unwrap();
    for n in 0..50 {
        writeln!(lines, "{{\"type\": \"step.done\", \"session\": \"s\", \"data\": {n}}}").unwrap();
        let note = serving.ask(
            "POST /v1/sessions/s/notes",
            "Content-Type: application/json\r\n",
            &format!("{{\"text\": \"note {n}\"}}"),
        );
        assert_eq!(note.status, 201, "{}", note.body);
    }
    drop(lines);
    assert!(child.wait().unwrap().success());
    assert_eq!(serving.metric("retold_committed_position"), 4 + 50 + 50);
    let events: Vec<Value> = shell.ok(&["read", "--all", "--limit", "1000"]).lines().map(json).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of("step.done"), of("session.noted")), (3 + 50, 50));
    serving.signal("-INT");
    assert_eq!(serving.wait().exit, 0);
}

#[cfg(unix)]
#[test]
fn tokens_are_read_again_when_the_server_is_told() {
    let shell = Shell::with_a_session();
    let file = shell.path("tokens.toml");
    let write = |secret: &str| {
        std::fs::write(&file, format!("[[token]]\nname = 'one'\nsecret = '{secret}'\nscope = 'read'\n"))
            .unwrap();
        private(&file);
    };
    write(SECRET);
    let mut serving = Serving::start(&shell, &["--tokens", "tokens.toml", "--log-json"]);
    let status = |serving: &Serving, secret: &str| {
        let header = format!("Authorization: Bearer {secret}\r\n");
        serving.ask("GET /metrics?q=a-secret-question", &header, "").status
    };
    assert_eq!(serving.ask("GET /metrics", "", "").status, 401);
    assert_eq!(status(&serving, SECRET), 200);
    let other = SECRET.replace('5', "6");
    let mut log = BufReader::new(serving.child.stderr.take().unwrap()).lines();
    let mut all = String::new();
    let mut until = |words: &str| {
        for line in log.by_ref() {
            let line = line.unwrap();
            all.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
        panic!("{words:?} was not said: {all}")
    };
    let line = json(&until("\"status\":200"));
    assert_eq!(
        (&line["route"], &line["token"], &line["method"]),
        (&"/metrics".into(), &"one".into(), &"GET".into())
    );
    // A file that is no good changes nothing.
    write("short");
    serving.signal("-HUP");
    until("a secret has");
    assert_eq!(status(&serving, SECRET), 200);
    write(&other);
    serving.signal("-HUP");
    until("1 token");
    assert_eq!((status(&serving, SECRET), status(&serving, &other)), (401, 200));
    serving.signal("-TERM");
    for line in log {
        let line = line.unwrap();
        json(&line);
        all.push_str(&line);
    }
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    for secret in [SECRET, &other, "secret-question", "Bearer"] {
        assert!(!all.contains(secret), "{secret} is in the log: {all}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_said_beside_a_log_of_json_is_json() {
    let shell = Shell::with_a_session();
    let file = shell.path("tokens.toml");
    let write = |secret: &str| {
        std::fs::write(&file, format!("[[token]]\nname = 'one'\nsecret = '{secret}'\nscope = 'admin'\n"))
            .unwrap();
        private(&file);
    };
    write(SECRET);
    let mut serving = Serving::start(&shell, &["--tokens", "tokens.toml", "--log-json"]);
    let consumer = format!("Authorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n");
    assert_eq!(serving.ask("PUT /v1/consumers/mail", &consumer, "{}").status, 201);
    // Its client leaves before there is an answer, and after the server has begun with it.
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    let body = "{\"wait\": 25}";
    write!(
        stream,
        "POST /v1/consumers/mail/next HTTP/1.1\r\nHost: localhost\r\n{consumer}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    stream.write_all(body.as_bytes()).unwrap();
    drop(stream);
    let mut lines =
        BufReader::new(serving.child.stderr.take().unwrap()).lines().map(|line| json(&line.unwrap()));
    let gone = lines.find(|line| line["status"] == 499).unwrap();
    assert_eq!((&gone["token"], &gone["route"]), (&"one".into(), &"/v1/consumers/{c}/next".into()));
    write("short");
    serving.signal("-HUP");
    let refused = lines.find(|line| line["level"] == "ERROR").unwrap();
    assert!(refused["message"].as_str().unwrap().contains("a secret has"), "{refused}");
    serving.signal("-TERM");
    lines.for_each(drop);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    let shell = Shell::new();
    let said = shell.fails(2, &["serve", "--log-json", "--listen", "0.0.0.0:0"]);
    let error = json(&said);
    assert_eq!(error["level"], "ERROR", "{said}");
    assert!(error["message"].as_str().unwrap().contains("--tokens"), "{said}");
}

#[cfg(unix)]
fn private(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_second_signal_waits_for_no_request() {
    let shell = Shell::with_a_session();
    let serving = Serving::start(&shell, &[]);
    let mut unfinished = TcpStream::connect(&serving.address).unwrap();
    write!(
        unfinished,
        "POST /v1/sessions/s/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    // The request is at work: its body is waited for.
    let mut asked = [0; 12];
    unfinished.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    let began = std::time::Instant::now();
    serving.signal("-INT");
    while TcpStream::connect(&serving.address).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it still listens");
    }
    serving.signal("-INT");
    assert_eq!(serving.wait().exit, 0);
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the request");
    assert_eq!(shell.head("s"), 3);
}

#[cfg(unix)]
#[test]
fn a_signal_while_the_store_closes_waits_for_nothing() {
    let shell = Shell::with_a_session();
    let owner = Serving::start(&shell, &[]);
    let client = Serving::start(&shell, &[]);
    assert_eq!(client.ask("GET /ready", "", "").status, 200);
    owner.signal("-STOP");
    // What is asked of the owner has no answer.
    let mut waits = TcpStream::connect(&client.address).unwrap();
    let body = "{\"text\": \"a note\"}";
    write!(
        waits,
        "POST /v1/sessions/s/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let began = std::time::Instant::now();
    client.signal("-TERM");
    while TcpStream::connect(&client.address).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it still listens");
    }
    client.signal("-TERM");
    client.signal("-TERM");
    client.wait();
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for the owner");
    owner.signal("-CONT");
    owner.signal("-TERM");
    assert_eq!(owner.wait().exit, 0);
}

/// Programs inherit what is ignored.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(unix)]
#[test]
fn a_terminal_that_is_closed_ends_a_server_that_has_nothing_to_read_again() {
    if ignores_hang_up() {
        println!("skipped: whoever started the tests has programs ignore SIGHUP, as nohup does");
        return;
    }
    let shell = Shell::with_a_session();
    let serving = Serving::start(&shell, &[]);
    serving.signal("-HUP");
    assert_ne!(serving.wait().exit, 0);
}

#[test]
fn what_a_server_may_not_be_started_with_is_told_before_there_is_a_store() {
    let shell = Shell::new();
    for (args, says) in [
        (&["--listen", "0.0.0.0:0"][..], "--tokens"),
        (&["--listen", "7878"], "--listen"),
        (&["--insecure", "--tokens", "x"], "cannot be used with"),
        (&["--tokens", "none.toml"], "none.toml"),
        (&["--tls-cert", "x"], "--tls-key"),
        (&["--allow-origin", "*"], "origin"),
        (&["--host", "http://a"], "host"),
        (&["--max-connections", "0"], "--max-connections"),
    ] {
        let said = shell.fails(2, &[&["serve"], args].concat());
        assert!(said.contains(says), "{args:?}: {said}");
    }
    assert!(!shell.store().exists());
    shell.ok(&["append", "s", "step.done", "-q"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = shell.fails(1, &["serve", "--listen", &address]);
    assert!(said.contains(&address), "{said}");
}
