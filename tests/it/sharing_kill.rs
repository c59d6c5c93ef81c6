//! Four processes with one store, each doing some of everything, are killed at random, whichever of them owns it: nothing
//! that was acknowledged is lost or there twice, no follower misses or repeats anything, and no ack is undone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use retold::agents::projections::Counts;
use retold::store::Rank;
use retold::{Builder, ConsumerConfig, Error, EventId, Follow, Followed, NewEvent, Query, Result, Store};

use crate::support::{Dice, soak};
use crate::victim::{Victim, orders, tell};

const PROCESSES: usize = 4;

/// Nothing waits for an owner longer than this.
const LONG: Duration = Duration::from_secs(120);

fn settings() -> Builder {
    Store::builder().wait(LONG).flush_when_idle(Duration::from_millis(3))
}

/// Of every four, two are applications, one is a command that hands over to them, and one has little patience.
fn settings_of(seed: u64) -> Builder {
    match seed % 4 {
        1 => settings().rank(Rank::Cli),
        2 => settings().wait(Duration::from_millis(100)),
        _ => settings(),
    }
}

fn config_deadline() -> Duration {
    Duration::from_millis(500)
}

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
        .pattern("job.**".parse().unwrap())
        .deadline(config_deadline())
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
        .max_deliveries(1_000)
}

/// Again, for as long as it fails only because somebody was killed.
fn again<T>(mut what: impl FnMut() -> Result<T>) -> T {
    loop {
        match what() {
            Ok(done) => return done,
            Err(e) if e.is_retryable() && !matches!(e, Error::Closed { after: None }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

fn append(store: &Store, own: &str) {
    for n in 0..1_000_000u64 {
        let kind = if n % 3 == 0 { "job.made" } else { "step.done" };
        let event = NewEvent::new(kind).data(serde_json::json!({ "of": own, "n": n }));
        let id = event.id();
        let receipt = again(|| store.append(own, event.clone()));
        tell(&format!("event {id} {own} {} {}\n", receipt.last(), receipt.position()));
    }
}

/// Everything, once, in order.
fn follow(store: &Store) {
    let mut last = 0;
    let mut cursor = None;
    loop {
        let request =
            cursor.map_or_else(|| Follow::all().from_start(), |cursor| Follow::all().cursor(cursor));
        let mut following = again(|| store.follow(request.clone())).blocking();
        loop {
            match following.next() {
                Some(Ok(Followed::Event { event, cursor: next })) => {
                    assert_eq!(event.position().get(), last + 1, "a follower has a gap or a repeat");
                    last = event.position().get();
                    cursor = Some(next);
                    if last % 50 == 0 {
                        tell(&format!("followed {last}\n"));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(e)) if e.is_retryable() => break,
                Some(Err(e)) => panic!("{e}"),
                None => panic!("a follower ended"),
            }
        }
    }
}

async fn consume(store: &Store) {
    loop {
        match consume_for_a_while(store).await {
            Err(Error::NotDelivered { .. } | Error::RecordChanged { .. }) => {}
            Err(Error::Closed { after: None }) => panic!("the store or its consumer has closed by itself"),
            Err(e) if e.is_retryable() => {}
            Err(e) => panic!("{e}"),
            Ok(()) => {}
        }
    }
}

async fn consume_for_a_while(store: &Store) -> Result<()> {
    let consumer = store.consumers().open("c", config()).await?;
    loop {
        let delivery = consumer.next().await?;
        let position = delivery.event().position();
        delivery.ack().await?;
        tell(&format!("acked {position}\n"));
    }
}

fn time(store: &Store, own: &str) {
    for n in 0..1_000_000u64 {
        let event = NewEvent::new("timer.fired").data(serde_json::json!({ "of": own, "n": n }));
        let id = event.id();
        // Whether it was made when that is unknown, the timers say.
        let made = loop {
            match store.timers().schedule("timed", event.clone(), Duration::from_millis(n % 20)) {
                Ok(timer) => break timer.id,
                Err(Error::Exists { .. } | Error::Duplicate { .. }) => break id,
                Err(e) if e.is_retryable() => {}
                Err(e) => panic!("{e}"),
            }
        };
        tell(&format!("timer {made}\n"));
        again(|| store.timers().fire());
    }
}

fn fold(store: &Store) {
    let states = again(|| store.project(Counts));
    loop {
        // Others rebuild too, and have its lease.
        match states.rebuild().and_then(|rebuild| rebuild.wait()) {
            Ok(_) | Err(Error::RecordChanged { .. } | Error::Exists { .. }) => {}
            Err(Error::Closed { after: None }) => panic!("the projections have ended by themselves"),
            Err(e) if e.is_retryable() => {}
            Err(e) => panic!("{e}"),
        }
        again(|| match states.catch_up() {
            Err(Error::RecordChanged { .. }) => Ok(()),
            caught_up => caught_up,
        });
        tell("folded\n");
    }
}

#[test]
#[ignore = "one of the processes of the test below"]
fn the_process_that_is_killed() {
    let Some((path, seed)) = orders() else { return };
    let store = again(|| settings_of(seed).open(&path));
    tell("\n");
    let own = format!("s{seed}");
    std::thread::scope(|scope| {
        scope.spawn(|| append(&store, &own));
        scope.spawn(|| follow(&store));
        scope.spawn(|| time(&store, &own));
        scope.spawn(|| fold(&store));
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(consume(&store));
        });
    });
}

#[derive(Default)]
struct Message {
    events: HashMap<EventId, (String, u64, u64)>,
    acked: BTreeSet<u64>,
    timers: HashSet<EventId>,
    followed: u64,
    folded: u64,
}

impl Message {
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["event", id, session, sequence, position] => {
                let at = (session.to_owned(), sequence.parse().unwrap(), position.parse().unwrap());
                assert!(self.events.insert(id.parse().unwrap(), at).is_none());
            }
            ["acked", position] => {
                assert!(self.acked.insert(position.parse().unwrap()), "{position} was acknowledged twice");
            }
            ["timer", id] => assert!(self.timers.insert(id.parse().unwrap())),
            ["followed", position] => self.followed = self.followed.max(position.parse().unwrap()),
            ["folded"] => self.folded += 1,
            _ => return false,
        }
        true
    }

    fn check(&self, path: &Path) {
        let store = settings().open(path).unwrap();
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let fired = again(|| store.timers().fire());
        assert_eq!(fired.refused, 0);
        let mut found: HashMap<EventId, (String, u64, u64)> = HashMap::new();
        let mut payloads = HashSet::new();
        let mut jobs = BTreeSet::new();
        for event in store.events(Query::all()).unwrap() {
            let event = event.unwrap();
            let at = (event.session().to_string(), event.sequence().get(), event.position().get());
            assert!(found.insert(event.id(), at).is_none());
            assert!(
                payloads.insert((event.kind().to_owned(), event.payload().to_vec())),
                "{event:?} is there twice"
            );
            if event.kind() == "job.made" {
                jobs.insert(event.position().get());
            }
        }
        for (id, at) in &self.events {
            assert_eq!(found.get(id), Some(at), "an acknowledged event");
        }
        let pending: HashSet<EventId> =
            store.timers().list(100_000).unwrap().iter().map(|timer| timer.id).collect();
        let timed = found.values().filter(|(session, ..)| session == "timed").count();
        assert!(timed + pending.len() >= self.timers.len(), "timers were lost");
        assert!(self.acked.is_subset(&jobs));
        assert!(self.followed <= store.committed().get());
        // What is left of the consumer is what nobody has acknowledged.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let left = runtime.block_on(async {
            let consumer = store.consumers().open("c", config()).await.unwrap();
            let mut left = BTreeSet::new();
            loop {
                match tokio::time::timeout(config_deadline() * 4, consumer.next()).await {
                    Ok(delivery) => {
                        let delivery = delivery.unwrap();
                        left.insert(delivery.event().position().get());
                        match delivery.ack().await {
                            Ok(()) | Err(Error::NotDelivered { .. }) => {}
                            Err(e) => panic!("{e}"),
                        }
                    }
                    // Whatever those that were killed had out has come by now.
                    Err(_) if !consumer_has_more(&store) => break,
                    Err(_) => {}
                }
            }
            left
        });
        let states = store.project(Counts).unwrap();
        states.catch_up().unwrap();
        let sessions: BTreeSet<&String> = found.values().map(|(session, ..)| session).collect();
        for session in sessions {
            let count = found.values().filter(|(of, ..)| of == session).count() as u64;
            assert_eq!(states.state(session.as_str()).unwrap().events, count, "{session}");
        }
        let undone: Vec<&u64> = left.intersection(&self.acked).collect();
        assert_eq!(undone, [&0; 0], "acknowledged, and delivered again");
    }
}

/// Whether something is out, or waits for its next delivery.
fn consumer_has_more(store: &Store) -> bool {
    !store.consumers().info("c").unwrap().outstanding.is_empty()
}

#[test]
fn whichever_process_is_killed_the_others_go_on_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.redb");
    let mut dice = Dice(15);
    let mut message = Message::default();
    let mut begun = 0;
    let mut begin = || {
        begun += 1;
        Victim::begin("sharing_kill::the_process_that_is_killed", &path, begun)
    };
    let mut there: Vec<Victim> = (0..PROCESSES).map(|_| begin()).collect();
    let kills = if soak() { 200 } else { 12 };
    for kill in 0..kills {
        // All of them are at work, whoever was killed before.
        for victim in &mut there {
            let enough = 1 + dice.under(20);
            victim.until(enough, |line| message.take(line));
        }
        let victim = there.remove(if kill % 2 == 0 { 0 } else { dice.under(PROCESSES as u64) as usize });
        for line in victim.kill(&mut dice, 300_000) {
            message.take(&line);
        }
        there.push(begin());
    }
    for victim in there {
        for line in victim.kill(&mut dice, 1) {
            message.take(&line);
        }
    }
    message.check(&path);
    assert!(message.events.len() > 50 && message.acked.len() > 10 && message.timers.len() > 10);
    assert!(message.followed > 0 && message.folded > 0, "{} {}", message.followed, message.folded);
}
