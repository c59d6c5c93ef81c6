//! A real process is killed while the workers of a consumer are busy. Nothing is lost, nothing comes again that was
//! acknowledged, what was acknowledged with an append is recorded once, and dead letters are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use retold::{
    Batch, Builder, Consumer, ConsumerConfig, Delivery, Durability, Event, Expect, NewEvent, Owner, Query,
    Result, Store,
};

use crate::support::{Dice, soak};
use crate::victim::{Victim, orders, tell};

fn settings(dice: &mut Dice) -> Builder {
    Store::builder()
        .flush_after(1 + dice.under(300) as usize, 1 << 20)
        .flush_when_idle(Duration::from_micros(dice.under(3_000)))
        .fast_recovery(dice.one_in(3))
}

/// Short enough that what a kill left out comes again while the next child runs. Deliveries are never used up by kills.
fn config() -> ConsumerConfig {
    ConsumerConfig::new()
        .pattern("job.**".parse().unwrap())
        .deadline(Duration::from_millis(300))
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
        .max_deliveries(1_000)
}

/// Does one of the things that a worker can do. What has succeeded is told, and only then.
async fn handle(delivery: Delivery, dice: &mut Dice) -> Result<()> {
    let event = delivery.event();
    let (position, place, sequence) = (event.position(), event.place().clone(), event.sequence());
    tell(&format!("got {position} {place} {sequence}\n"));
    match dice.under(10) {
        0 => delivery.nack(Duration::from_micros(dice.under(5_000))).await?,
        1 => {
            delivery.park("the dice said so").await?;
            tell(&format!("parked {position}\n"));
        }
        2 => delivery.touch().await?,
        3 | 4 => {
            let done = NewEvent::new("done.with").data(position.get().into());
            delivery.ack_with(Batch::new().add("results", Expect::Any, done)?).await?;
            tell(&format!("with {position}\n"));
        }
        // Nobody resolves it: it comes again after its deadline.
        5 if dice.one_in(8) => {}
        _ => {
            delivery.ack().await?;
            tell(&format!("acked {position}\n"));
        }
    }
    Ok(())
}

async fn work(consumer: Consumer, mut dice: Dice) {
    loop {
        let delivery = consumer.next().await.unwrap();
        match handle(delivery, &mut dice).await {
            // It took longer than the deadline, on a machine that is busy.
            Ok(()) | Err(retold::Error::NotDelivered { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
#[ignore = "the child process of the test below"]
fn the_workers_that_are_killed() {
    let Some((path, seed)) = orders() else { return };
    let mut dice = Dice(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = settings(&mut dice).open(path).unwrap();
        let consumer = store.consumers().open("c", config()).await.unwrap();
        tell("\n");
        for n in 0..4u64 {
            tokio::spawn(work(consumer.clone(), Dice(seed ^ (n << 40))));
        }
        let owner = Owner::consumer("c").unwrap();
        for n in 0..100_000u64 {
            let kind = if dice.one_in(5) { "noise.made" } else { "job.made" };
            let durability = if dice.one_in(3) { Durability::Relaxed } else { Durability::Durable };
            let batch =
                Batch::new().add(format!("s{}", dice.under(5)), Expect::Any, NewEvent::new(kind)).unwrap();
            store.append_batch_async(batch.durability(durability)).await.unwrap();
            // The workers are to be killed at work, not buried.
            while n % 20 == 0 && store.consumers().info("c").unwrap().lag > 100 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if n % 50 == 49 {
                // Announced before it is done: from here on these may come again.
                for dead_letter in store.dead_letters().list(Some(&owner), None, 5).unwrap() {
                    tell(&format!("replays {}\n", dead_letter.position));
                    match store.dead_letters().replay(&owner, dead_letter.position) {
                        Ok(()) | Err(retold::Error::NotFound { .. }) => {}
                        Err(e) => panic!("{e}"),
                    }
                }
            }
        }
    });
}

/// What the parent heard.
#[derive(Default)]
struct Message {
    acked: BTreeSet<u64>,
    with: BTreeSet<u64>,
    parked: BTreeSet<u64>,
    /// Dead letters that were sent back at some time.
    replayed: BTreeSet<u64>,
    got: u64,
    again: u64,
    /// The last that was handed out of each branch for the first time.
    last: HashMap<String, u64>,
    seen: BTreeSet<u64>,
}

impl Message {
    fn take(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().unwrap();
        match *words.as_slice() {
            ["got", position, place, sequence] => {
                let (position, sequence) = (number(position), number(sequence));
                self.got += 1;
                assert!(!self.acked.contains(&position), "{position} came again after it was acknowledged");
                assert!(
                    !self.with.contains(&position),
                    "{position} came again after its result was recorded"
                );
                let parked = self.parked.contains(&position) && !self.replayed.contains(&position);
                assert!(!parked, "{position} came again after it was parked");
                if self.seen.insert(position) {
                    // A first delivery: everything before it in its branch was delivered before.
                    let last = self.last.insert(place.to_owned(), sequence).unwrap_or(0);
                    assert!(sequence > last, "{place}@{sequence} came after {last}");
                } else {
                    self.again += 1;
                }
                true
            }
            ["acked", position] => self.acked.insert(number(position)),
            ["with", position] => self.with.insert(number(position)),
            ["parked", position] => self.parked.insert(number(position)),
            ["replays", position] => self.replayed.insert(number(position)),
            _ => false,
        }
    }

    /// What was heard is in the store as it was said.
    fn check(&self, store: &Store) {
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let Ok(info) = store.consumers().info("c") else { return assert_eq!(self.got, 0) };
        assert!(info.ack_floor <= store.committed());
        let dead_letters = store.dead_letters().list(None, None, 10_000).unwrap();
        let dead_letters: BTreeSet<u64> =
            dead_letters.iter().map(|dead_letter| dead_letter.position.get()).collect();
        for position in self.parked.difference(&self.replayed) {
            assert!(dead_letters.contains(position), "the dead letter {position} is gone");
        }
        let results = results(store);
        assert!(results.values().all(|times| *times == 1), "a result was recorded twice: {results:?}");
        assert!(self.with.iter().all(|position| results.contains_key(position)), "a result is lost");
        assert!(self.acked.iter().all(|position| !results.contains_key(position)));
    }
}

/// How often a result was recorded for each position.
fn results(store: &Store) -> BTreeMap<u64, u64> {
    let mut results = BTreeMap::new();
    let Ok(query) = Query::branch("results") else { return results };
    let Ok(events) = store.events(query) else { return results };
    for event in events {
        let position: u64 = event.unwrap().json().unwrap();
        *results.entry(position).or_default() += 1;
    }
    results
}

#[test]
fn killed_workers_lose_nothing_and_are_given_again_only_what_they_did_not_acknowledge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    let mut dice = Dice(11);
    let mut message = Message::default();
    let rounds = if soak() { 60 } else { 12 };
    for round in 0..rounds {
        let mut victim = Victim::begin("consumer_kill::the_workers_that_are_killed", &path, round);
        let patience = if dice.one_in(10) { 0 } else { 1 + dice.under(200) };
        victim.until(patience, |line| line.is_empty() || message.take(line));
        // What it had said before it died counts.
        for line in victim.kill(&mut dice, 300_000) {
            message.take(&line);
        }
        if dice.one_in(3) && path.exists() {
            message.check(&Store::open(&path).unwrap());
        }
    }
    assert!(
        message.acked.len() > 100 && message.with.len() > 30 && message.parked.len() > 10,
        "too slow to be killed"
    );

    // Whoever comes last gets all that is left, and then everything was handled: once where it was recorded.
    let store = Store::open(&path).unwrap();
    message.check(&store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let consumer = store.consumers().open("c", config()).await.unwrap();
        store.dead_letters().replay_all(&Owner::consumer("c").unwrap()).unwrap();
        while store.consumers().info("c").unwrap().lag > 0
            || !store.dead_letters().list(None, None, 1).unwrap().is_empty()
        {
            let next = tokio::time::timeout(Duration::from_millis(400), consumer.next()).await;
            let Ok(delivery) = next else {
                // What comes last may be of no interest; it is moved over without a delivery.
                if consumer.try_next().await.unwrap().is_none()
                    && store.consumers().info("c").unwrap().outstanding.is_empty()
                {
                    break;
                }
                continue;
            };
            let delivery = delivery.unwrap();
            let position = delivery.event().position().get();
            assert!(!message.acked.contains(&position) && !message.with.contains(&position), "{position}");
            match delivery.ack().await {
                Ok(()) => drop(message.acked.insert(position)),
                // Its deadline passed, on a machine that is busy: it comes again.
                Err(retold::Error::NotDelivered { .. }) => {}
                Err(e) => panic!("{e}"),
            }
        }
        consumer.close().await;
    });
    let results = results(&store);
    let info = store.consumers().info("c").unwrap();
    assert_eq!((info.outstanding.len(), info.dead_letters, info.lag), (0, 0, 0));
    let jobs: Vec<Event> = store.events(Query::all()).unwrap().collect::<Result<_>>().unwrap();
    let jobs = jobs.iter().filter(|event| event.kind() == "job.made").count() as u64;
    assert_eq!(info.acknowledged, jobs, "an event was acknowledged twice or never");
    assert!(results.values().all(|times| *times == 1));
}
