//! A process is killed while it deletes, truncates and purges, and while its store is compacted: forks have what they
//! inherit, and what was said to be gone is.

use std::collections::{BTreeMap, BTreeSet};

use retold::{Error, NewEvent, Query, Store};

use crate::support::Dice;
use crate::victim::{Victim, orders, tell};

fn run(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| NewEvent::new("step.done")).collect()
}

#[test]
#[ignore = "the child process of the test below"]
fn the_purger_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let store = Store::builder().flush_after(1 + dice.under(200) as usize, 1 << 20).open(&path).unwrap();
    tell("\n");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..u64::MAX).for_each(|_| {
                let _ = store.lifecycle().purge().unwrap();
            })
        });
        if seed % 3 == 1 {
            scope.spawn(|| {
                (0..u64::MAX).for_each(|_| {
                    let _ = store.maintenance().compact().unwrap();
                })
            });
        }
        scope.spawn(|| {
            (0..u64::MAX).for_each(|_| {
                let head = store.append("kept", run(4)).unwrap().last().get();
                tell(&format!("head {head}\n"));
                let first = store.lifecycle().truncate("kept", head.saturating_sub(10)).unwrap().first;
                tell(&format!("first {first}\n"));
            })
        });
        for n in 0..u64::MAX {
            match store.lifecycle().delete("gone") {
                Err(Error::NotFound { .. } | Error::Deleted { .. }) => {}
                deleted => deleted.unwrap(),
            }
            let receipt = store.append("gone", run(60)).unwrap();
            let name = format!("f{seed}-{n}");
            store.fork("gone@20", name.as_str()).unwrap();
            tell(&format!("fork gone/{name}\n"));
            store.lifecycle().delete("gone").unwrap();
            tell(&format!("gone {}\n", receipt.parts()[0].last_position));
        }
    });
}

/// What the parent heard.
#[derive(Default)]
struct Heard {
    forks: BTreeSet<String>,
    /// Positions of deleted events.
    gone: BTreeSet<u64>,
    numbers: BTreeMap<String, u64>,
}

impl Heard {
    fn take(&mut self, line: &str) -> bool {
        let Some((what, of)) = line.split_once(' ') else { return false };
        match what {
            "fork" => self.forks.insert(of.to_owned()),
            "gone" => self.gone.insert(of.parse().unwrap()),
            "head" | "first" => {
                let known = self.numbers.entry(what.to_owned()).or_default();
                *known = of.parse::<u64>().unwrap().max(*known);
                true
            }
            _ => false,
        }
    }

    fn check(&self, store: &Store) {
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        for fork in &self.forks {
            let events: Vec<_> =
                store.events(Query::branch(fork.as_str()).unwrap()).unwrap().map(Result::unwrap).collect();
            let sequences: Vec<u64> = events.iter().map(|event| event.sequence().get()).collect();
            assert_eq!(sequences, (1..=20).collect::<Vec<_>>(), "{fork}");
        }
        for event in store.events(Query::all()).unwrap() {
            let position = event.unwrap().position().get();
            assert!(!self.gone.contains(&position), "position {position} was deleted");
        }
        if let Some(head) = self.numbers.get("head") {
            let kept = store.branch("kept").unwrap();
            assert!(
                kept.head.get() >= *head
                    && kept.first.get() >= self.numbers.get("first").copied().unwrap_or(1)
            );
            let left =
                store.events(Query::branch("kept").unwrap()).unwrap().map(Result::unwrap).count() as u64;
            assert_eq!(left, kept.head.get() + 1 - kept.first.get());
        }
    }
}

#[test]
fn kills_while_branches_are_deleted_truncated_and_purged_lose_nothing_that_forks_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let mut dice = Dice(7);
    let mut heard = Heard::default();
    for round in 0..12 {
        let mut victim = Victim::begin("lifecycle_kill::the_purger_that_is_killed", &path, round);
        victim.until(1 + dice.under(60), |line| heard.take(line));
        for line in victim.kill(&mut dice, 300_000) {
            heard.take(&line);
        }
        heard.check(&Store::open(&path).unwrap());
    }
    assert!(heard.forks.len() > 20 && heard.gone.len() > 20, "the writers were too slow to be killed");
    let store = Store::open(&path).unwrap();
    store.lifecycle().purge().unwrap();
    heard.check(&store);
    store.lifecycle().delete_session(&"gone".try_into().unwrap()).unwrap();
    store.lifecycle().purge().unwrap();
    assert!(store.maintenance().verify().unwrap().is_clean());
}
