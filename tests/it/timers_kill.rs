//! A real process is killed while timers are made, cancelled and fired and a spill is filled and drained, again and
//! again on one store: every timer fires once, a cancelled one never, and what was spilled is there in order, once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use retold::bus::spill::Spill;
use retold::{Builder, Error, EventId, NewEvent, Query, Store};

use crate::support::{Dice, explained, numbered, soak};
use crate::victim::{Victim, orders, tell};

fn settings(dice: &mut Dice) -> Builder {
    Store::builder()
        .flush_after(1 + dice.under(200) as usize, 1 << 20)
        .flush_when_idle(Duration::from_micros(dice.under(3_000)))
        .fast_recovery(dice.one_in(3))
}

fn make_and_cancel(store: &Store, dice: &mut Dice) {
    for n in 0..10_000 {
        let delay = Duration::from_micros(dice.under(20_000));
        let timer = store.timers().schedule(format!("t{}", dice.under(4)), numbered(n), delay).unwrap();
        tell(&format!("made {}\n", timer.id));
        if dice.one_in(3) {
            tell(&format!("cancels {}\n", timer.id));
            match store.timers().cancel(timer.id) {
                Ok(()) => tell(&format!("cancelled {}\n", timer.id)),
                Err(Error::NotFound { what: "timer", .. }) => tell(&format!("fired {}\n", timer.id)),
                Err(e) => panic!("{e}"),
            }
        }
    }
}

fn spill_and_drain(store: &Store, own: &str, dice: &mut Dice) {
    let spill = Spill::beside(store).unwrap();
    for n in 0..10_000 {
        let event = numbered(n);
        if dice.one_in(4) {
            // As when the outcome of an append was unknown: it is there, and in the spill.
            store.append(own, event.clone()).unwrap();
            tell(&format!("known {} {own}\n", event.id()));
            continue;
        }
        spill.put(own, &event).unwrap();
        tell(&format!("spilled {} {own}\n", event.id()));
        let _ = spill.drain(store).unwrap();
    }
}

#[test]
#[ignore = "the child process of the test below"]
fn the_keeper_of_timers_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let store = settings(&mut dice).open(path).unwrap();
    Spill::beside(&store).unwrap().drain(&store).unwrap();
    tell("\n");
    std::thread::scope(|scope| {
        for keeper in 0..2u64 {
            let (store, mut dice) = (&store, Dice(seed ^ (keeper << 32)));
            scope.spawn(move || make_and_cancel(store, &mut dice));
        }
        scope.spawn(|| {
            loop {
                store.timers().fire().unwrap();
                std::thread::yield_now();
            }
        });
        for spiller in 0..2u64 {
            let (store, mut dice) = (&store, Dice(seed ^ (spiller << 40)));
            scope.spawn(move || spill_and_drain(store, &format!("spill-{seed}-{spiller}"), &mut dice));
        }
    });
}

#[derive(Default)]
struct Message {
    made: HashSet<EventId>,
    cancelled: HashSet<EventId>,
    fired: HashSet<EventId>,
    /// Of which it is not known whether they were cancelled.
    open: HashSet<EventId>,
    /// By session, in the order in which they were put.
    spilled: BTreeMap<String, Vec<EventId>>,
    count: u64,
}

impl Message {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        self.count += 1;
        match *words.as_slice() {
            ["made", id] => assert!(self.made.insert(id.parse().unwrap())),
            ["cancels", id] => assert!(self.open.insert(id.parse().unwrap())),
            ["cancelled", id] => {
                let id = id.parse().unwrap();
                assert!(self.open.remove(&id) && self.cancelled.insert(id));
            }
            ["fired", id] => {
                let id = id.parse().unwrap();
                assert!(self.open.remove(&id) && self.fired.insert(id));
            }
            ["known" | "spilled", id, session] => {
                self.spilled.entry(session.to_owned()).or_default().push(id.parse().unwrap());
            }
            _ => {}
        }
    }

    fn check(&self, store: &Store) {
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let mut found: HashMap<EventId, u32> = HashMap::new();
        let mut sessions: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
        for event in store.events(Query::all()).unwrap() {
            let event = event.unwrap();
            *found.entry(event.id()).or_default() += 1;
            sessions.entry(event.session().to_string()).or_default().push(event.id());
        }
        assert!(found.values().all(|n| *n == 1));
        for id in &self.made {
            let there = found.contains_key(id);
            if self.cancelled.contains(id) {
                assert!(!there, "{id} was cancelled and has fired");
            } else if !self.open.contains(id) {
                assert!(there, "{id} has not fired");
            }
        }
        assert!(self.fired.iter().all(|id| found.contains_key(id)));
        for (session, put) in &self.spilled {
            // At the end there may be one of which the parent was not told any more.
            let there = sessions.get(session).map_or(&[][..], Vec::as_slice);
            assert_eq!(there.get(..put.len()), Some(put.as_slice()), "{session}");
            assert!(there.len() <= put.len() + 1, "{session}");
        }
    }
}

/// Fires what is left, as a program does that is started again.
fn flush_timers(store: &Store) {
    let begun = Instant::now();
    while !store.timers().list(10).unwrap().is_empty() {
        let fired = store.timers().fire().unwrap();
        assert_eq!(fired.refused, 0);
        assert!(begun.elapsed() < Duration::from_secs(300), "timers are left: {:?}", store.timers().list(3));
        std::thread::sleep(fired.wait.min(Duration::from_millis(30)));
    }
}

#[test]
fn kills_while_timers_and_spills_are_busy_fire_each_once_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let (mut dice, mut message) = (Dice(17), Message::default());
    let rounds = if soak() { 120 } else { 12 };
    for seed in 0..rounds {
        let mut victim = Victim::begin("timers_kill::the_keeper_of_timers_that_is_killed", &path, seed);
        victim.until(1 + dice.under(150), |line| {
            message.take(line);
            line.contains(' ')
        });
        // What it said before it was killed counts.
        for line in victim.kill(&mut dice, 1_000_000) {
            message.take(&line);
        }
        // Every other time the next child finds everything as the kill left it.
        if seed % 2 == 0 || seed + 1 == rounds {
            let store = settings(&mut dice).open_only().open(&path).unwrap();
            let spill = Spill::beside(&store).unwrap();
            let drained = spill.drain(&store).unwrap();
            // A line that was being written, if any: it was never acknowledged.
            assert!(drained.set_aside <= 1, "{drained:?}");
            flush_timers(&store);
            explained(&format!("round {seed}"), || message.check(&store));
            store.close().unwrap();
        }
    }
    assert!(message.made.len() > 20 && !message.cancelled.is_empty() && !message.spilled.is_empty());
}

#[test]
fn an_event_of_a_timer_says_when_it_was_due() {
    let store = Store::in_memory().unwrap();
    let timer = store.timers().schedule("s", NewEvent::new("step.done"), Duration::ZERO).unwrap();
    store.timers().fire().unwrap();
    assert_eq!(store.get(timer.id).unwrap().occurred(), timer.due);
}
