//! What projections cost: appends with and without them, reads of states, and a rebuild against a plain replay.
//!
//! `cargo bench --bench project` runs it; `-- --quick` is a short form whose figures mean nothing, `--only
//! states`, `appends`, `upcasts` or `rebuild` one part of it, and `--of NAME` the states of one projection. Everything is synced
//! before it is acknowledged. Figures are medians of rounds that are taken in turns, so that both sides meet the same
//! neighbours on the machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::collections::BTreeMap;
use std::time::Instant;

use retold::agents::projections;
use retold::project::{ApplyError, DynProjection, Projection, Scope};
use retold::{Catalogue, Event, NewEvent, Projected, Query, Store, Upcasts};
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Size {
    single: u64,
    shared: u64,
    bulk: u64,
    rebuild: u64,
    states: u64,
    rounds: usize,
    of: Option<String>,
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
#[serde(default)]
#[derive(Default)]
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

#[derive(Clone, Copy)]
enum With {
    None,
    Five,
    BuiltIn,
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
fn appends(size: &Size, with: With) -> [f64; 4] {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store.redb")).unwrap();
    let set: Vec<Box<dyn DynProjection>> = match with {
        With::None => Vec::new(),
        With::Five => SET.iter().map(|(name, scope)| Box::new(Use(name, *scope)) as _).collect(),
        With::BuiltIn => projections::all(Catalogue::builtin()),
    };
    let set: Vec<_> = set.into_iter().map(|p| store.project_dyn(p).unwrap()).collect();
    let single = rate(size.single, || {
        (0..size.single).for_each(|n| drop(store.append("single", told(n)).unwrap()));
    });
    let shared = rate(size.shared * PRODUCERS, || {
        std::thread::scope(|scope| {
            for p in 0..PRODUCERS {
                let store = &store;
                scope.spawn(move || {
                    let address: retold::Address = format!("p{p}").parse().unwrap();
                    (0..size.shared).for_each(|n| drop(store.append(&address, told(n)).unwrap()));
                });
            }
        });
    });
    set.iter().for_each(|p| p.catch_up().unwrap());
    let bulk = rate(size.bulk, || {
        for start in (0..size.bulk).step_by(BATCH as usize) {
            let session = format!("bulk-{}", start / BATCH % 10);
            store.append(session, (start..start + BATCH).map(told).collect::<Vec<_>>()).unwrap();
        }
    });
    let level = Instant::now();
    set.iter().for_each(|p| p.catch_up().unwrap());
    [single, shared, bulk, level.elapsed().as_secs_f64() * 1e3]
}

/// MB that the process had in memory at most since [`reset_peak`], where the system tells.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(peak.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1_024)
}

/// Whether the peak counts from here.
fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn rebuild(size: &Size) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder().sync(false).open(dir.path().join("store.redb")).unwrap();
    let sessions = 1_000;
    for start in (0..size.rebuild).step_by(BATCH as usize) {
        let session = format!("run-{}", start / BATCH % sessions);
        store.append(session, (start..start + BATCH).map(event).collect::<Vec<_>>()).unwrap();
    }
    store.maintenance().flush().unwrap();
    let (mut replays, mut by_scope): (Vec<f64>, Vec<Vec<f64>>) = (Vec::new(), vec![Vec::new(); 3]);
    let scopes = [("by branch", Scope::Branch), ("by session", Scope::Session), ("by key", Scope::Key)];
    let set: Vec<Projected<Tools>> =
        SET[2..].iter().map(|(name, scope)| store.project(Use(name, *scope)).unwrap()).collect();
    let order = [0, 2, 1];
    set.iter().for_each(|p| p.catch_up().unwrap());
    let counted = reset_peak();
    let before = memory();
    for _ in 0..size.rounds {
        replays.push(rate(size.rebuild, || {
            let events = store.events(Query::all()).unwrap();
            assert_eq!(events.map(|e| u64::from(e.unwrap().payload()[0] == b'{')).sum::<u64>(), size.rebuild);
        }));
        for (rates, which) in by_scope.iter_mut().zip(order) {
            rates.push(rate(size.rebuild, || assert!(set[which].rebuild().unwrap().wait().unwrap())));
        }
    }
    if let (Some(before), Some(peak), true) = (before, memory(), counted) {
        println!("memory of the process {before} MB before, {peak} MB at most during replays and rebuilds");
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

/// What an agent writes: tools that begin and end, calls with tokens, progress.
fn told(n: u64) -> NewEvent {
    let call = format!("call-{}", n / 4);
    let new = match n % 4 {
        0 => NewEvent::new("tool.invoked").data(json!({"call_id": call, "tool": "grep", "input": text(n)})),
        1 => NewEvent::new("coder.api_call").data(json!({
            "provider": "acme", "model": "large-2", "input_tokens": 900 + n % 97, "output_tokens": n % 89,
            "duration_ms": 1_200 + n % 400,
        })),
        2 => {
            NewEvent::new("tool.completed").data(json!({"call_id": call, "tool": "grep", "output": text(n)}))
        }
        _ => NewEvent::new("task.progress")
            .data(json!({"task_id": "t-1", "progress": (n / 1_000) as f64, "stage": "search"})),
    };
    new.source("bench")
}

fn text(n: u64) -> String {
    let text = "abcdefghijklmnopqrstuvwxyz 0123456789 ".repeat(6);
    let from = (n * 7 % 30) as usize;
    text[from..from + 160].to_owned()
}

/// A state at any sequence of a long branch against the state at its head, with a snapshot there and with a tail to
/// fold.
fn states(size: &Size) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder().sync(false).open(dir.path().join("store.redb")).unwrap();
    let set: Vec<Projected<serde_json::Value>> = projections::all(Catalogue::builtin())
        .into_iter()
        .filter(|p| p.scope() == Scope::Branch && size.of.as_deref().is_none_or(|of| of == p.name()))
        .chain([Box::new(Use("tools", Scope::Branch)) as Box<dyn DynProjection>])
        .map(|p| store.project_dyn(p).unwrap())
        .collect();
    for start in (0..size.states).step_by(BATCH as usize) {
        store.append("long", (start..start + BATCH).map(told).collect::<Vec<_>>()).unwrap();
    }
    set.iter().for_each(|p| p.catch_up().unwrap());
    store.maintenance().flush().unwrap();
    let (reads, mut seed) = (2_000, 0x9e37_79b9_7f4a_7c15_u64);
    let mut any = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (seed >> 33) % most
    };
    println!("state of a branch with {} events, in us", size.states);
    println!("projection         head   with a tail   at any n   n to head   n to tail   folded");
    for projection in &set {
        let mut rows: [Vec<f64>; 3] = Default::default();
        let mut folded = 0;
        for _ in 0..size.rounds {
            rows[0].push(
                1e6 / rate(reads, || {
                    (0..reads).for_each(|_| drop(projection.read("long").unwrap()));
                }),
            );
            rows[2].push(
                1e6 / rate(reads, || {
                    (0..reads).for_each(|_| {
                        folded += projection.read(format!("long@{}", any(size.states))).unwrap().folded;
                    });
                }),
            );
        }
        for _ in 0..size.rounds {
            // Read at once: the runner writes the new head's snapshot when nothing has come for a while.
            let more = any(255);
            store.append("long", (0..more).map(told).collect::<Vec<_>>()).unwrap();
            rows[1].push(1e6 / rate(200, || (0..200).for_each(|_| drop(projection.read("long").unwrap()))));
        }
        projection.catch_up().unwrap();
        let [head, tail, any] = rows.map(|mut row| median(&mut row));
        println!(
            "{:<14} {head:>8.1} {tail:>13.1} {any:>10.1} {:>11.2} {:>11.2} {:>8.1}",
            projection.name(),
            any / head,
            any / tail,
            folded as f64 / (reads * size.rounds as u64) as f64
        );
    }
}

/// A replay of events that all go through steps, against one of events that go through none.
fn upcasts(size: &Size) {
    let steps = |to: u32| -> String {
        let step = |from: u32| {
            format!(
                "[[step]]\ntype = \"tool.completed\"\nversion = {from}\nto_version = {}\ndo = [{{ rename = \"/f{from}\", to = \"f{}\" }}]\n",
                from + 1,
                from + 1
            )
        };
        (1..to).map(step).collect()
    };
    let events = size.rebuild / 4;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = Store::builder().sync(false).open(&path).unwrap();
    let old = |n: u64| {
        let json = format!("{{\"f1\":{n},\"tool\":\"grep\",\"output\":\"{0}{0}\"}}", text(n));
        NewEvent::new("tool.completed").json_text(json)
    };
    for start in (0..events).step_by(BATCH as usize) {
        store.append("old", (start..start + BATCH).map(old).collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
    for to in [1, 2, 4] {
        let upcasts = Upcasts::from_toml("steps.toml", &steps(to)).unwrap();
        let store = Store::builder().upcasts(upcasts).open(&path).unwrap();
        let mut rates: Vec<f64> = (0..size.rounds)
            .map(|_| {
                rate(events, || {
                    let all = store.events(Query::all()).unwrap();
                    assert!(all.map(Result::unwrap).all(|e| e.version() == to));
                })
            })
            .collect();
        let rate = median(&mut rates);
        println!("replay through {} steps {rate:>22.0} /s  {:.2} us an event", to - 1, 1e6 / rate);
        store.close().unwrap();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let quick = std::env::args().any(|a| a == "--quick" || a == "--test");
    let after = |flag: &str| std::env::args().skip_while(|a| a != flag).nth(1);
    let of = after("--of");
    let size = match quick {
        true => Size { of, single: 50, shared: 5, bulk: 2_000, rebuild: 5_000, states: 2_000, rounds: 1 },
        false => Size {
            of,
            single: 5_000,
            shared: 1_000,
            bulk: 200_000,
            rebuild: 1_000_000,
            states: 100_000,
            rounds: 5,
        },
    };
    let only = after("--only");
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wanted("states") {
        states(&size);
    }
    if wanted("appends") {
        all_appends(&size);
    }
    if wanted("upcasts") {
        upcasts(&size);
    }
    if wanted("rebuild") {
        rebuild(&size);
    }
}

fn all_appends(size: &Size) {
    let sets = [With::None, With::Five, With::BuiltIn];
    let mut rows: [Vec<[f64; 4]>; 3] = Default::default();
    for _ in 0..size.rounds {
        for (rows, with) in rows.iter_mut().zip(sets) {
            rows.push(appends(size, with));
        }
    }
    let column = |set: usize, i: usize| median(&mut rows[set].iter().map(|r| r[i]).collect::<Vec<_>>());
    println!("appends a second            without        five   ratio   all built in   ratio");
    for (i, name) in ["one producer", "64 producers", "batches of 1,000"].iter().enumerate() {
        let [without, five, all] = [0, 1, 2].map(|set| column(set, i));
        println!(
            "{name:<24} {without:>10.0} {five:>11.0} {:>7.3} {all:>14.0} {:>7.3}",
            five / without,
            all / without
        );
    }
    println!("level again after the batches, ms {:>13.0} {:>22.0}", column(1, 3), column(2, 3));
}
