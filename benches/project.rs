//! What projections cost: appends with and without them, reads of states, and a rebuild against a plain replay.
//!
//! `cargo bench --bench project` runs it; `-- --quick` is a short form whose figures mean nothing. Everything is synced
//! before it is acknowledged. Figures are medians of rounds that are taken in turns, so that both sides meet the same
//! neighbours on the machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::collections::BTreeMap;
use std::time::Instant;

use retold::project::{ApplyError, Projection, Scope};
use retold::{Event, NewEvent, Projected, Query, Store};
use serde::{Deserialize, Serialize};

struct Size {
    single: u64,
    shared: u64,
    bulk: u64,
    rebuild: u64,
    rounds: usize,
}

const PRODUCERS: u64 = 64;
const BATCH: u64 = 1_000;

fn event(n: u64) -> NewEvent {
    let text = "abcdefghijklmnopqrstuvwxyz 0123456789 ".repeat(6);
    NewEvent::new("tool.completed").source("bench").json_text(format!(
        "{{\"n\":{n},\"tool\":\"grep\",\"ok\":true,\"tokens\":{},\"text\":\"{}\"}}",
        n % 97,
        &text[..190]
    ))
}

/// Looks into the payload, as projections do that sum up what events say.
#[derive(Deserialize)]
struct Told {
    tokens: u64,
    ok: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Tools {
    events: u64,
    by_type: BTreeMap<String, u64>,
    tokens: u64,
    ok: u64,
    last: i64,
}

/// One of five, as many as are built in.
struct Use(&'static str, Scope);

impl Projection for Use {
    type State = Tools;

    fn name(&self) -> &str {
        self.0
    }

    fn scope(&self) -> Scope {
        self.1
    }

    fn key(&self, event: &Event) -> Option<String> {
        Some(event.kind().to_owned())
    }

    fn apply(&self, tools: &mut Tools, event: &Event) -> Result<(), ApplyError> {
        let told: Told = event.json()?;
        tools.events += 1;
        match tools.by_type.get_mut(event.kind()) {
            Some(count) => *count += 1,
            None => drop(tools.by_type.insert(event.kind().to_owned(), 1)),
        }
        tools.tokens += told.tokens;
        tools.ok += u64::from(told.ok);
        tools.last = event.occurred().micros();
        Ok(())
    }
}

const SET: [(&str, Scope); 5] = [
    ("lifecycle", Scope::Branch),
    ("progress", Scope::Branch),
    ("resource", Scope::Branch),
    ("stats", Scope::Key),
    ("coverage", Scope::Session),
];

fn rate(count: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    count as f64 / start.elapsed().as_secs_f64()
}

/// Events a second: one producer, 64 producers, batches of 1,000; and the milliseconds that projections then need to
/// be level again.
fn appends(size: &Size, with: bool) -> [f64; 4] {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store.redb")).unwrap();
    let set: Vec<Projected<Tools>> = match with {
        true => SET.iter().map(|(name, scope)| store.project(Use(name, *scope)).unwrap()).collect(),
        false => Vec::new(),
    };
    let single = rate(size.single, || {
        (0..size.single).for_each(|n| drop(store.append("single", event(n)).unwrap()));
    });
    let shared = rate(size.shared * PRODUCERS, || {
        std::thread::scope(|scope| {
            for p in 0..PRODUCERS {
                let store = &store;
                scope.spawn(move || {
                    let address: retold::Address = format!("p{p}").parse().unwrap();
                    (0..size.shared).for_each(|n| drop(store.append(&address, event(n)).unwrap()));
                });
            }
        });
    });
    set.iter().for_each(|p| p.catch_up().unwrap());
    let bulk = rate(size.bulk, || {
        for start in (0..size.bulk).step_by(BATCH as usize) {
            let session = format!("bulk-{}", start / BATCH % 10);
            store.append(session, (start..start + BATCH).map(event).collect::<Vec<_>>()).unwrap();
        }
    });
    let level = Instant::now();
    set.iter().for_each(|p| p.catch_up().unwrap());
    [single, shared, bulk, level.elapsed().as_secs_f64() * 1e3]
}

fn rebuild(size: &Size) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder().sync(false).open(dir.path().join("store.redb")).unwrap();
    let sessions = 1_000;
    for start in (0..size.rebuild).step_by(BATCH as usize) {
        let session = format!("run-{}", start / BATCH % sessions);
        store.append(session, (start..start + BATCH).map(event).collect::<Vec<_>>()).unwrap();
    }
    store.settle().unwrap();
    let (mut replays, mut by_scope): (Vec<f64>, Vec<Vec<f64>>) = (Vec::new(), vec![Vec::new(); 3]);
    let scopes = [("by branch", Scope::Branch), ("by session", Scope::Session), ("by key", Scope::Key)];
    let set: Vec<Projected<Tools>> =
        SET[2..].iter().map(|(name, scope)| store.project(Use(name, *scope)).unwrap()).collect();
    let order = [0, 2, 1];
    set.iter().for_each(|p| p.catch_up().unwrap());
    for _ in 0..size.rounds {
        replays.push(rate(size.rebuild, || {
            let events = store.events(Query::all()).unwrap();
            assert_eq!(events.map(|e| u64::from(e.unwrap().payload()[0] == b'{')).sum::<u64>(), size.rebuild);
        }));
        for (rates, which) in by_scope.iter_mut().zip(order) {
            rates.push(rate(size.rebuild, || assert!(set[which].rebuild().unwrap().wait().unwrap())));
        }
    }
    let replay = median(&mut replays);
    println!("replay of {} events, decoded      {:>12.0} /s", size.rebuild, replay);
    for ((name, _), rates) in scopes.iter().zip(&mut by_scope) {
        let rate = median(rates);
        println!("rebuild {name:<28} {rate:>12.0} /s  {:.2} of the replay", rate / replay);
    }
    let reads = 2_000;
    let head = rate(reads, || {
        (0..reads).for_each(|n| drop(set[0].state(format!("run-{}", n % sessions)).unwrap()));
    });
    let back = rate(reads, || {
        (0..reads)
            .for_each(|n| drop(set[0].state(format!("run-{}@{}", n % sessions, 1 + n % BATCH)).unwrap()));
    });
    println!("states at heads {head:>31.0} /s\nstates at any sequence {back:>24.0} /s");
    let listed = Instant::now();
    let count = set[0].list(|_| true).unwrap().len();
    println!("list of {count} states {:>26.1} ms", listed.elapsed().as_secs_f64() * 1e3);
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let quick = std::env::args().any(|a| a == "--quick" || a == "--test");
    let size = match quick {
        true => Size { single: 50, shared: 5, bulk: 2_000, rebuild: 5_000, rounds: 1 },
        false => Size { single: 5_000, shared: 1_000, bulk: 200_000, rebuild: 1_000_000, rounds: 5 },
    };
    let (mut without, mut with): (Vec<[f64; 4]>, Vec<[f64; 4]>) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        without.push(appends(&size, false));
        with.push(appends(&size, true));
    }
    let column = |rows: &[[f64; 4]], i: usize| median(&mut rows.iter().map(|r| r[i]).collect::<Vec<_>>());
    println!("appends                         without   with five projections   ratio");
    for (i, name) in ["one producer", "64 producers", "batches of 1,000"].iter().enumerate() {
        let (a, b) = (column(&without, i), column(&with, i));
        println!("{name:<24} {a:>12.0} /s {b:>18.0} /s {:>10.3}", b / a);
    }
    println!("level again after the batches {:>22.0} ms", column(&with, 3));
    rebuild(&size);
}
