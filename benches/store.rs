//! A first look: the same work on retold and on bare redb, side by side, as ratios.
//!
//! `cargo bench --bench store` runs it; `cargo bench --bench store -- --quick` is a short form for CI, whose figures
//! mean nothing. Both sync before they acknowledge. Each figure is the median of several rounds, taken in turns.
#![allow(clippy::unwrap_used, missing_docs, reason = "a program for people")]

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use redb::{Database, ReadableDatabase, TableDefinition};
use retold::{NewEvent, Query, Store};

const ROWS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("rows");

struct Size {
    single: u64,
    shared: u64,
    bulk: u64,
    rounds: usize,
}

/// What the bare table keeps of an event, so that both sides encode and decode an envelope.
#[derive(bincode::Encode, bincode::Decode)]
struct Row {
    id: u128,
    kind: String,
    occurred: i64,
    source: String,
    data: String,
}

fn row(n: u64) -> Vec<u8> {
    let row = Row {
        id: n.into(),
        kind: "tool.completed".into(),
        occurred: 1_700_000_000_000_000,
        source: "bench".into(),
        data: payload(n),
    };
    bincode::encode_to_vec(row, bincode::config::standard()).unwrap()
}

const PRODUCERS: u64 = 64;
const BATCH: u64 = 1_000;

fn payload(n: u64) -> String {
    let filler = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 ".repeat(4);
    let head = format!("{{\"n\":{n},\"tool\":\"grep\",\"ok\":true,\"text\":\"");
    let room = 254 - head.len();
    format!("{head}{}\"}}", &filler[..room])
}

fn event(n: u64) -> NewEvent {
    NewEvent::new("tool.completed").source("bench").json_text(payload(n))
}

fn rate(count: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    count as f64 / start.elapsed().as_secs_f64()
}

/// Events per second: one producer, 64 producers, batches, replay.
type Figures = [f64; 4];

fn ours(dir: &Path, size: &Size) -> Figures {
    let store = Store::open(dir.join("ours.redb")).unwrap();
    let single = rate(size.single, || {
        for n in 0..size.single {
            store.append("single", event(n)).unwrap();
        }
    });
    let shared = rate(size.shared * PRODUCERS, || {
        std::thread::scope(|scope| {
            for p in 0..PRODUCERS {
                let store = &store;
                scope.spawn(move || {
                    let address: retold::Address = format!("p{p}").parse().unwrap();
                    for n in 0..size.shared {
                        store.append(&address, event(n)).unwrap();
                    }
                });
            }
        });
    });
    let bulk = rate(size.bulk, || {
        for start in (0..size.bulk).step_by(BATCH as usize) {
            store.append("bulk", (start..start + BATCH).map(event).collect::<Vec<_>>()).unwrap();
        }
    });
    let replay = rate(size.bulk, || {
        let events = store.events(Query::branch("bulk").unwrap()).unwrap();
        assert_eq!(events.map(|e| e.unwrap().payload().len() as u64).sum::<u64>(), size.bulk * 256);
    });
    store.close().unwrap();
    [single, shared, bulk, replay]
}

fn insert(db: &Database, rows: &[(u64, u64, Vec<u8>)]) {
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        for (branch, sequence, row) in rows {
            table.insert((*branch, *sequence), row.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn redb(dir: &Path, size: &Size) -> Figures {
    let db = Database::create(dir.join("redb.redb")).unwrap();
    let single = rate(size.single, || {
        for n in 0..size.single {
            insert(&db, &[(0, n, row(n))]);
        }
    });
    // A writer's thread that takes whatever waits, commits it, and answers.
    let shared = rate(size.shared * PRODUCERS, || {
        let (sender, receiver) = sync_channel::<((u64, u64, Vec<u8>), SyncSender<()>)>(1_024);
        std::thread::scope(|scope| {
            for p in 1..=PRODUCERS {
                let sender = sender.clone();
                scope.spawn(move || {
                    for n in 0..size.shared {
                        let (answer, answered) = sync_channel(1);
                        sender.send(((p, n, row(n)), answer)).unwrap();
                        answered.recv().unwrap();
                    }
                });
            }
            drop(sender);
            while let Ok(first) = receiver.recv() {
                let (mut rows, mut answers) = (vec![first.0], vec![first.1]);
                while let Ok((row, answer)) = receiver.try_recv() {
                    rows.push(row);
                    answers.push(answer);
                }
                insert(&db, &rows);
                answers.into_iter().for_each(|a| a.send(()).unwrap());
            }
        });
    });
    let bulk = rate(size.bulk, || {
        for start in (0..size.bulk).step_by(BATCH as usize) {
            let rows: Vec<_> = (start..start + BATCH).map(|n| (1_000, n, row(n))).collect();
            insert(&db, &rows);
        }
    });
    let replay = rate(size.bulk, || {
        let txn = db.begin_read().unwrap();
        let table = txn.open_table(ROWS).unwrap();
        let rows = table.range((1_000, 0)..=(1_000, u64::MAX)).unwrap();
        let bytes: u64 = rows
            .map(|row| {
                let row = row.unwrap().1;
                let decoded = bincode::decode_from_slice::<Row, _>(row.value(), bincode::config::standard());
                decoded.unwrap().0.data.len() as u64
            })
            .sum();
        assert_eq!(bytes, size.bulk * 256);
    });
    [single, shared, bulk, replay]
}

fn main() {
    let quick = std::env::args().any(|a| a == "--quick" || a == "--test");
    let size = match quick {
        true => Size { single: 20, shared: 4, bulk: 2_000, rounds: 1 },
        false => Size { single: 4_000, shared: 1_500, bulk: 400_000, rounds: 5 },
    };
    let (mut a, mut b): (Vec<Figures>, Vec<Figures>) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let dir = tempfile::tempdir().unwrap();
        a.push(ours(dir.path(), &size));
        b.push(redb(dir.path(), &size));
    }
    let median = |all: &[Figures], work: usize| {
        let mut figures: Vec<f64> = all.iter().filter_map(|f| f.get(work).copied()).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    println!("{:<34}{:>14}{:>14}{:>9}", "events per second", "retold", "bare redb", "ratio");
    let names = ["append, 1 producer", "append, 64 producers", "append, batches of 1,000", "replay"];
    for (work, name) in names.into_iter().enumerate() {
        let (x, y) = (median(&a, work), median(&b, work));
        println!("{name:<34}{x:>14.0}{y:>14.0}{:>8.2}x", x / y);
    }
}
