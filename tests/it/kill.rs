//! A real process is killed while it writes, again and again, on one store: what it had acknowledged is there.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use retold::store::recovery::{RestoreUntil, restore_chain};
use retold::{Address, Batch, Builder, Error, EventId, Expect, NewEvent, Query, Store};

use crate::support::{Dice, soak};
use crate::victim::{Victim, orders, tell};

fn settings(dice: &mut Dice) -> Builder {
    Store::builder()
        .flush_after(1 + dice.under(300) as usize, 1 << 20)
        .flush_when_idle(Duration::from_micros(dice.under(3_000)))
        .fast_recovery(dice.one_in(3))
        .two_phase(dice.one_in(4))
}

/// Its payload tells its id and how many events were appended with it, under which name.
fn event(batch: EventId, size: u64) -> NewEvent {
    let event = NewEvent::new("step.done");
    let id = event.id();
    event.data(serde_json::json!({ "id": id, "batch": batch, "size": size }))
}

fn append(store: &Store, parts: &[(String, u64)]) {
    let (name, size) = (EventId::new(), parts.iter().map(|(_, n)| n).sum());
    let mut batch = Batch::new();
    let mut ids = Vec::new();
    for (address, count) in parts {
        let events: Vec<NewEvent> = (0..*count).map(|_| event(name, size)).collect();
        ids.push(events.iter().map(NewEvent::id).collect::<Vec<_>>());
        batch = batch.add(address, Expect::Any, events).unwrap();
    }
    let receipt = store.append_batch(batch).unwrap();
    let mut lines = String::new();
    for (placed, ids) in receipt.parts().iter().zip(ids) {
        for (n, id) in ids.iter().enumerate() {
            let (sequence, position) =
                (placed.first.get() + n as u64, placed.first_position.get() + n as u64);
            lines += &format!("event {id} {} {sequence} {position}\n", placed.place);
        }
    }
    tell(&lines);
}

#[test]
#[ignore = "the child process of the test below"]
fn the_writer_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let store = settings(&mut dice).open(&path).unwrap();
    let backup = |n: u64| {
        let full = path.with_extension(format!("{seed}-{n}.backup"));
        store.maintenance().backup(&full).unwrap();
        if n > 0 {
            store.maintenance().backup_since(&full, full.with_extension("since")).unwrap();
        }
    };
    // Some are killed while the store moves into another file, and some while it is copied.
    if seed % 3 == 2 {
        backup(0);
    }
    tell("\n");
    std::thread::scope(|scope| {
        match seed % 3 {
            1 => drop(scope.spawn(|| {
                (0..u64::MAX).for_each(|_| {
                    let _ = store.maintenance().compact().unwrap();
                })
            })),
            2 => drop(scope.spawn(|| (1..u64::MAX).for_each(backup))),
            _ => {}
        }
        for writer in 0..5u64 {
            let store = &store;
            let mut dice = Dice(seed ^ (writer << 32));
            scope.spawn(move || {
                for n in 0..10_000u64 {
                    let own = format!("s{writer}");
                    match writer {
                        0 => {
                            let count = 1 + dice.under(4);
                            let parts =
                                (0..count).map(|i| (format!("s{}", (i * 7 + n) % 6), 1 + dice.under(12)));
                            append(store, &parts.collect::<Vec<_>>());
                        }
                        1 if dice.one_in(8) => {
                            let name = format!("f{seed}-{n}");
                            append(store, &[(own, 1)]);
                            let info = store.fork("s1", &name).unwrap();
                            tell(&format!("fork {} {}\n", info.place, info.head));
                            append(store, &[(format!("s1/{name}"), 2)]);
                        }
                        2 if dice.one_in(20) => append(store, &[(own, 50)]),
                        _ => append(store, &[(own, 1)]),
                    }
                }
            });
        }
    });
}

/// Backups that got their name, which are whole, and so is what incremental ones make of them.
fn backups(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let backups = names.filter(|path| path.extension().is_some_and(|end| end == "backup"));
    let checked = backups.map(|path| {
        let store = Store::builder().read_only().exclusive().open(&path).unwrap();
        assert!(store.maintenance().verify().unwrap().is_clean());
        store.close().unwrap();
        let since = path.with_extension("since");
        if since.exists() {
            let whole = folder.join("whole.redb");
            restore_chain(&[&path, &since], &whole, RestoreUntil::End).unwrap();
            std::fs::remove_file(since).unwrap();
            std::fs::remove_file(whole).unwrap();
        }
        std::fs::remove_file(path).unwrap();
    });
    checked.count()
}

/// What the parent heard.
#[derive(Default)]
struct Message {
    /// Place, sequence and position by id.
    events: HashMap<EventId, (String, u64, u64)>,
    forks: BTreeMap<String, u64>,
    heads: BTreeMap<String, u64>,
}

impl Message {
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["event", id, place, sequence, position] => {
                let sequence: u64 = sequence.parse().unwrap();
                let told = (place.to_owned(), sequence, position.parse().unwrap());
                assert!(self.events.insert(id.parse().unwrap(), told).is_none());
                let head = self.heads.entry(place.to_owned()).or_default();
                *head = sequence.max(*head);
                true
            }
            ["fork", place, head] => self.forks.insert(place.to_owned(), head.parse().unwrap()).is_none(),
            _ => false,
        }
    }

    /// Everything that was heard is in the store, and everything in the store was written as a whole.
    fn check(&self, store: &Store) {
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let mut batches: HashMap<EventId, (u64, u64)> = HashMap::new();
        let mut found = 0;
        for event in store.events(Query::all()).unwrap() {
            let event = event.unwrap();
            found += 1;
            assert_eq!(event.position().get(), found);
            let data: serde_json::Value = event.json().unwrap();
            assert_eq!(data["id"], event.id().to_string());
            if let Some((place, sequence, position)) = self.events.get(&event.id()) {
                assert_eq!((&event.place().to_string(), event.sequence().get()), (place, *sequence));
                assert_eq!(event.position().get(), *position);
            }
            let batch = batches.entry(data["batch"].as_str().unwrap().parse().unwrap()).or_default();
            *batch = (batch.0 + 1, data["size"].as_u64().unwrap());
        }
        assert_eq!(found, store.committed().get());
        assert!(batches.values().all(|(there, size)| there == size), "an append is there by half");
        for id in self.events.keys() {
            store.get(*id).unwrap();
        }
        for (place, head) in &self.heads {
            assert!(store.head(place.as_str()).unwrap().get() >= *head, "{place}");
        }
        for (place, fork) in &self.forks {
            let info = store.branch(place.as_str()).unwrap();
            assert_eq!(info.parent.unwrap().1.get(), *fork, "{place}");
        }
    }
}

#[test]
fn fifty_kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let mut dice = Dice(5);
    let mut message = Message::default();
    let rounds = if soak() { 2_000 } else { 50 };
    let mut copied = 0;
    for round in 0..rounds {
        let mut victim = Victim::begin("kill::the_writer_that_is_killed", &path, round);
        let enough = dice.under(80);
        // Now and then before it has opened the store, or while it makes it.
        let patience = if dice.one_in(10) { 0 } else { enough + 1 };
        victim.until(patience, |line| line.is_empty() || message.take(line));
        // What it had said before it died counts.
        for line in victim.kill(&mut dice, 300_000) {
            message.take(&line);
        }
        copied += backups(folder.path());
        let looked_at = match dice.one_in(2) {
            // The next writer finds the file as the kill left it.
            true => {
                let copy = folder.path().join("copy.redb");
                if let Err(e) = std::fs::copy(&path, &copy) {
                    assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
                    continue;
                }
                copy
            }
            false => path.clone(),
        };
        match settings(&mut dice).open_only().open(&looked_at) {
            Ok(store) => message.check(&store),
            Err(e) => assert!(message.events.is_empty() && matches!(e, Error::NotFound { .. }), "{e}"),
        }
    }
    assert!(
        message.events.len() > 500 && !message.forks.is_empty(),
        "the writers were too slow to be killed"
    );
    assert!(copied > 0, "no backup was made");
    let store = Store::open(&path).unwrap();
    message.check(&store);
    assert!(store.branches(&"s1".parse().unwrap()).unwrap().len() > 1);
    let again = Address::try_from("s1").unwrap();
    store.append(&again, event(EventId::new(), 1)).unwrap();
}
