//! One store and several processes: retold, whose processes share the file through its owner, and SQLite, whose processes lock
//! it by turns; and what sharing costs retold beside one process alone.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use retold::{Follow, NewEvent, Store};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::driver::folder;
use crate::event::{KIND, SOURCE, new_id, now_micros};
use crate::options::Options;

/// Nobody waits longer for the store.
const WAIT: Duration = Duration::from_secs(120);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY, session INTEGER NOT NULL, sequence INTEGER NOT NULL, id BLOB NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
    occurred INTEGER NOT NULL, data TEXT NOT NULL, UNIQUE (session, sequence))";
const INSERT: &str = "INSERT INTO events (session, sequence, id, kind, source, occurred, data) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

struct Size {
    one: u64,
    many: u64,
    delivered: u64,
    /// Appends of all processes together.
    together: u64,
}

fn data(n: u64) -> String {
    format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(220))
}

fn event(n: u64) -> NewEvent {
    NewEvent::new(KIND).source(SOURCE).data(serde_json::json!({ "n": n, "text": "x".repeat(220) }))
}

fn open(path: &Path) -> Store {
    Store::builder().wait(WAIT).open(path).unwrap()
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(WAIT).unwrap();
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;").unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
}

/// One transaction for each append, as retold's is durable before it is answered.
fn insert(connection: &mut Connection, session: u64, n: u64) {
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let (session, sequence) = (session.cast_signed(), n.cast_signed());
    txn.prepare_cached(INSERT)
        .unwrap()
        .execute(params![session, sequence, new_id(), KIND, SOURCE, now_micros(), data(n)])
        .unwrap();
    txn.commit().unwrap();
}

/// A process of its own, which opens a store, says so, and appends when it is told to.
struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn begin(peer: &str, path: &Path, session: u64, appends: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process", peer, path.to_str().unwrap(), &session.to_string(), &appends.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let orders = child.stdin.take();
        Self { child, orders, answers }
    }

    fn heard(&mut self) {
        assert!(self.answers.read_line(&mut String::new()).unwrap() > 0, "a process has failed");
    }

    fn go(&mut self) {
        self.orders.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        self.child.wait().unwrap();
    }
}

/// What a [`Worker`] does, until nobody gives it orders any more.
pub fn process(mut arguments: impl Iterator<Item = String>) {
    let mut next = || arguments.next().unwrap();
    let (peer, path, session, appends) = (next(), next(), next(), next());
    let (session, appends): (u64, u64) = (session.parse().unwrap(), appends.parse().unwrap());
    let name = format!("p{session}");
    let mut append: Box<dyn FnMut(u64)> = match peer.as_str() {
        "retold" => {
            let store = open(path.as_ref());
            Box::new(move |n| drop(store.append(&name, event(n)).unwrap()))
        }
        _ => {
            let mut connection = connect(path.as_ref());
            Box::new(move |n| insert(&mut connection, session, n))
        }
    };
    println!("ready");
    for _ in std::io::stdin().lines().map_while(Result::ok) {
        (0..appends).for_each(&mut append);
        println!("done");
    }
}

/// Appends per second of so many processes, each in a session of its own.
fn of_processes(peer: &str, path: &Path, processes: u64, appends: u64) -> f64 {
    let each = appends.div_ceil(processes);
    let mut workers: Vec<Worker> = (0..processes).map(|n| Worker::begin(peer, path, n, each)).collect();
    workers.iter_mut().for_each(Worker::heard);
    let begun = Instant::now();
    workers.iter_mut().for_each(Worker::go);
    workers.iter_mut().for_each(Worker::heard);
    (each * processes) as f64 / begun.elapsed().as_secs_f64()
}

/// Appends per second of so many threads of this process.
fn of_threads(store: &Store, producers: u64, each: u64) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for producer in 0..producers {
            threads.spawn(move || {
                let name = format!("t{producer}");
                (0..each).for_each(|n| drop(store.append(&name, event(n)).unwrap()));
            });
        }
    });
    (producers * each) as f64 / begun.elapsed().as_secs_f64()
}

/// Microseconds from the call of an append to its delivery: the median.
fn delivery(writer: &Store, reader: &Store, events: u64) -> f64 {
    let delivered = Arc::new(AtomicU64::new(0));
    let seen = delivered.clone();
    let mut following = reader.follow(Follow::session("d").unwrap()).unwrap().blocking();
    let start = Instant::now();
    let follower = std::thread::spawn(move || {
        let mut at = Vec::new();
        while (at.len() as u64) < events {
            if following.next().unwrap().unwrap().event().is_some() {
                at.push(start.elapsed());
                seen.store(at.len() as u64, Ordering::Release);
            }
        }
        at
    });
    let mut begun = Vec::new();
    for n in 0..events {
        begun.push(start.elapsed());
        writer.append("d", event(n)).unwrap();
        while delivered.load(Ordering::Acquire) <= n {
            std::thread::yield_now();
        }
    }
    let delivered = follower.join().unwrap();
    let micros = |(delivered, begun): (&Duration, &Duration)| (*delivered - *begun).as_secs_f64() * 1e6;
    median(delivered.iter().zip(&begun).map(micros).collect())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The round in the middle, by its ratio.
fn shown(what: &str, goal: &str, mut figures: Vec<(f64, f64)>) {
    figures.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (first, second) = figures[figures.len() / 2];
    println!("{what:<40}{first:>14.1}{second:>14.1}{:>8.2}x  {goal}", second / first);
}

pub fn processes(options: &Options) {
    let scaled = |n: u64| ((n as f64 * options.scale) as u64).max(1);
    let size =
        Size { one: scaled(3_000), many: scaled(300), delivered: scaled(2_000), together: scaled(12_800) };
    let root = folder(options);
    const PROCESSES: [u64; 3] = [1, 8, 64];
    let (mut one, mut many, mut middle) = (vec![], vec![], vec![]);
    let mut beside: [Vec<(f64, f64)>; 3] = Default::default();
    for round in 0..options.rounds {
        let path = |name: &str| root.path().join(format!("{name}-{round}"));
        let own = open(&path("own"));
        // It owns the store, and does nothing.
        let mut owner = Worker::begin("retold", &path("shared"), 0, 0);
        owner.heard();
        let client = open(&path("shared"));
        one.push((of_threads(&own, 1, size.one), of_threads(&client, 1, size.one)));
        many.push((of_threads(&own, 64, size.many), of_threads(&client, 64, size.many)));
        // Through the owner's process, and back.
        let deliveries = (delivery(&own, &own, size.delivered), delivery(&client, &client, size.delivered));
        middle.push(deliveries);
        drop((client, owner));
        for (figures, processes) in beside.iter_mut().zip(PROCESSES) {
            let (retold, sqlite) =
                (path(&format!("retold-{processes}")), path(&format!("sqlite-{processes}")));
            // Both are made before anybody hurries.
            drop((open(&retold), connect(&sqlite)));
            let sqlite = of_processes("sqlite", &sqlite, processes, size.together);
            figures.push((sqlite, of_processes("retold", &retold, processes, size.together)));
        }
    }
    println!("{:<40}{:>14}{:>14}{:>9}", "", "in-process", "shared", "ratio");
    shown("appends/s, 1 producer", "goal 0.7", one);
    shown("appends/s, 64 producers", "goal 0.5", many);
    shown("append to delivery, median µs", "goal 2 at the most", middle);
    println!("\n{:<40}{:>14}{:>14}{:>9}", "", "sqlite", "retold", "ratio");
    for (figures, processes) in beside.into_iter().zip(PROCESSES) {
        shown(&format!("appends/s, processes: {processes}"), "", figures);
    }
}
