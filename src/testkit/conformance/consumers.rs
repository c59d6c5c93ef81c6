//! Durable consumers: at least once, in the order of each branch, across restarts.

use std::time::Duration;

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    crashed, empty, equal, holds, in_tasks, numbered, numbers, read, refused, reopened, run_of,
};
use super::home::Home;
use crate::consumer::{Consumer, ConsumerConfig, Delivery};
use crate::delivery::Owner;
use crate::error::Error;
use crate::event::{Expect, SessionId};
use crate::store::{Batch, Builder, Query, Store};

cases! { "consumers":
    an_acknowledged_event_is_not_redelivered,
    a_branch_waits_for_its_event_and_others_go_on,
    a_nacked_event_is_redelivered,
    an_event_past_its_deadline_is_redelivered,
    an_event_delivered_too_often_becomes_a_dead_letter,
    a_replayed_dead_letter_is_redelivered,
    an_acknowledgement_with_an_append_does_both_or_neither,
    workers_of_one_consumer_never_hold_the_same_event,
    a_waiting_worker_is_woken_by_an_append,
    a_consumer_has_one_set_of_settings,
    a_consumer_resumes_when_it_is_opened_again,
    a_consumer_resumes_after_reopening,
    a_consumer_resumes_after_a_crash,
}

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
}

fn at(delivery: &Delivery) -> String {
    delivery.event().address().to_string()
}

/// Acknowledges everything that is there now, and returns it.
async fn drain(consumer: &Consumer) -> Result<Vec<String>, Stop> {
    let mut seen = Vec::new();
    while let Some(delivery) = consumer.try_next().await? {
        seen.push(at(&delivery));
        delivery.ack().await?;
    }
    Ok(seen)
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

fn an_acknowledged_event_is_not_redelivered(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config()).await?;
        equal("delivered", drain(&consumer).await?, texts(["s/main@1", "s/main@2", "s/main@3"]))?;
        equal("redelivered", drain(&consumer).await?, Vec::new())?;
        store.append_async("s", numbered(4)).await?;
        let delivery = consumer.next().await?;
        equal("what is new", (at(&delivery), delivery.deliveries()), ("s/main@4".to_owned(), 1))?;
        delivery.ack().await?;
        refused!(delivery.ack().await, Error::NotDelivered { .. });
        let info = store.consumers().info("c")?;
        let found = (info.ack_floor.get(), info.lag, info.acknowledged, info.outstanding.len());
        equal("consumer progress", found, (4, 0, 4, 0))
    })
}

fn a_branch_waits_for_its_event_and_others_go_on(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    for n in 0..2 {
        store.append("a", numbered(n))?;
        store.append("b", numbered(n))?;
    }
    in_tasks(async {
        let consumer = store.consumers().open("c", config()).await?;
        let first = consumer.next().await?;
        equal("the first", at(&first), "a/main@1".to_owned())?;
        equal("the others", drain(&consumer).await?, texts(["b/main@1", "b/main@2"]))?;
        let info = store.consumers().info("c")?;
        equal(
            "consumer progress",
            (info.ack_floor.get(), info.acknowledged, info.outstanding.len()),
            (0, 2, 1),
        )?;
        first.ack().await?;
        equal("the rest", drain(&consumer).await?, texts(["a/main@2"]))?;
        equal("consumer progress", store.consumers().info("c")?.ack_floor.get(), 4)
    })
}

fn a_nacked_event_is_redelivered(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config()).await?;
        for deliveries in 1..=4 {
            let delivery = consumer.next().await?;
            equal("delivered", (at(&delivery), delivery.deliveries()), ("s/main@1".to_owned(), deliveries))?;
            match deliveries {
                4 => delivery.ack().await?,
                _ => delivery.nack(Duration::ZERO).await?,
            }
        }
        equal("delivered next", drain(&consumer).await?, texts(["s/main@2"]))
    })
}

fn an_event_past_its_deadline_is_redelivered(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    in_tasks(async {
        let short = config().deadline(Duration::from_millis(1)).max_deliveries(1_000_000);
        let consumer = store.consumers().open("c", short).await?;
        let lost = consumer.next().await?;
        let again = consumer.next().await?;
        equal("redelivered", at(&again), at(&lost))?;
        holds("it is counted", again.deliveries() > lost.deliveries())?;
        refused!(lost.ack().await, Error::NotDelivered { .. });
        // Each may expire before its ack, until one is in time.
        let mut delivery = again;
        while let Err(late) = delivery.ack().await {
            holds("it is refused because it is late", matches!(late, Error::NotDelivered { .. }))?;
            delivery = consumer.next().await?;
        }
        equal("what is left", drain(&consumer).await?, Vec::new())
    })
}

fn an_event_delivered_too_often_becomes_a_dead_letter(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config().max_deliveries(2)).await?;
        for _ in 0..2 {
            let delivery = consumer.next().await?;
            equal("delivered", at(&delivery), "s/main@1".to_owned())?;
            delivery.nack(Duration::ZERO).await?;
        }
        equal("delivered next", drain(&consumer).await?, texts(["s/main@2"]))?;
        let dead_letters = store.dead_letters().list(Some(&Owner::consumer("c")?), None, 10)?;
        let dead_letters: Vec<_> = dead_letters
            .into_iter()
            .map(|dead_letter| (dead_letter.at.to_string(), dead_letter.deliveries, dead_letter.again))
            .collect();
        equal("dead letters", dead_letters, vec![("s/main@1".to_owned(), 2, false)])?;
        let info = store.consumers().info("c")?;
        equal("consumer progress", (info.ack_floor.get(), info.dead_letters), (2, 1))
    })
}

fn a_replayed_dead_letter_is_redelivered(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    let owner = Owner::consumer("c")?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config()).await?;
        for n in 1..=2 {
            let delivery = consumer.next().await?;
            equal("delivered", at(&delivery), format!("s/main@{n}"))?;
            delivery.park("not today").await?;
        }
        equal("delivered next", drain(&consumer).await?, texts(["s/main@3"]))?;
        let positions = |store: &Store| -> Result<Vec<u64>, Stop> {
            let dead_letters = store.dead_letters().list(Some(&owner), None, 10)?;
            Ok(dead_letters.into_iter().map(|dead_letter| dead_letter.position.get()).collect())
        };
        equal("dead letters", positions(&store)?, vec![1, 2])?;
        let after = store.dead_letters().get(&owner, 1)?;
        equal("those after the first", store.dead_letters().list(Some(&owner), Some(&after), 10)?.len(), 1)?;
        store.dead_letters().replay(&owner, 1)?;
        let again = consumer.next().await?;
        equal("redelivered", at(&again), "s/main@1".to_owned())?;
        again.ack().await?;
        equal("dead letters", positions(&store)?, vec![2])?;
        store.dead_letters().discard(&owner, 2)?;
        equal("dead letters", positions(&store)?, Vec::new())?;
        refused!(store.dead_letters().replay(&owner, 2), Error::NotFound { .. });
        equal("what is left", drain(&consumer).await?, Vec::new())
    })
}

fn an_acknowledgement_with_an_append_does_both_or_neither(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    in_tasks(async {
        let of_s = config().session("s")?;
        let consumer = store.consumers().open("c", of_s).await?;
        let delivery = consumer.next().await?;
        let taken = Batch::new().add("answer", Expect::Head(1.into()), numbered(10))?;
        refused!(delivery.ack_with(taken).await, Error::Conflict { .. });
        equal("consumer progress", store.consumers().info("c")?.ack_floor.get(), 0)?;
        let receipt = delivery.ack_with(Batch::new().add("answer", Expect::Empty, numbered(10))?).await?;
        equal("what was appended", receipt.position().get(), 3)?;
        equal("consumer progress", store.consumers().info("c")?.ack_floor.get(), 1)?;
        refused!(
            delivery.ack_with(Batch::new().add("answer", Expect::Any, numbered(11))?).await,
            Error::NotDelivered { .. }
        );
        equal("the answers", numbers(&read(&store, Query::branch("answer")?)?)?, vec![10])?;
        equal("delivered next", drain(&consumer).await?, texts(["s/main@2"]))
    })
}

fn workers_of_one_consumer_never_hold_the_same_event(home: &mut dyn Home) -> CaseOutcome {
    const SESSIONS: u64 = 6;
    const EACH: u64 = 15;
    let store = empty(home)?;
    for n in 0..EACH {
        for session in 0..SESSIONS {
            store.append(format!("s{session}").as_str(), numbered(n))?;
        }
    }
    in_tasks(async {
        let consumer = store.consumers().open("c", config()).await?;
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let consumer = consumer.clone();
                tokio::spawn(async move { drain(&consumer).await })
            })
            .collect();
        let mut seen = Vec::new();
        for worker in workers {
            seen.extend(worker.await??);
        }
        // A worker ends when nothing is available at the moment; what was in flight then is left over.
        seen.extend(drain(&consumer).await?);
        let mut due: Vec<String> = (0..SESSIONS)
            .flat_map(|session| (1..=EACH).map(move |n| format!("s{session}/main@{n}")))
            .collect();
        due.sort_unstable();
        seen.sort_unstable();
        equal("what the workers had together", seen, due)
    })
}

fn a_waiting_worker_is_woken_by_an_append(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config().session(SessionId::new("s")?)?).await?;
        let worker = tokio::spawn(async move { consumer.next().await.map(|delivery| at(&delivery)) });
        tokio::task::yield_now().await;
        store.append_async("t", numbered(1)).await?;
        store.append_async("s", numbered(2)).await?;
        equal("what it has", worker.await??, "s/main@1".to_owned())
    })
}

fn a_consumer_has_one_set_of_settings(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let consumer = store.consumers().open("c", config().max_deliveries(3)).await?;
        refused!(store.consumers().open("c", config().max_deliveries(4)).await, Error::Differs { .. });
        let same = store.consumers().open("c", config().max_deliveries(3)).await?;
        equal("its name", same.name(), "c")?;
        refused!(store.consumers().open_existing("none").await, Error::NotFound { .. });
        drop((consumer, same));
        store.consumers().remove("c").await?;
        refused!(store.consumers().open_existing("c").await, Error::NotFound { .. });
        equal("consumers", store.consumers().list()?.len(), 0)?;
        store.consumers().open("c", config().max_deliveries(4)).await?.close().await;
        Ok(())
    })
}

/// Takes two of four events, returns the second one unresolved, and ends.
async fn half(store: &Store) -> CaseOutcome {
    let consumer = store.consumers().open("c", config()).await?;
    consumer.next().await?.ack().await?;
    let second = consumer.next().await?;
    equal("the second", at(&second), "s/main@2".to_owned())?;
    drop(second);
    consumer.close().await;
    Ok(())
}

async fn rest(store: &Store) -> CaseOutcome {
    let consumer = store.consumers().open_existing("c").await?;
    store.append_async("s", numbered(5)).await?;
    let mut seen = Vec::new();
    // Unresolved deliveries may still wait for their deadlines, so they are acknowledged by token.
    for outstanding in store.consumers().info("c")?.outstanding {
        equal("what is outstanding", outstanding.at.to_string(), "s/main@2".to_owned())?;
        if let Some(token) = outstanding.token {
            consumer.ack(&token).await?;
            seen.push("s/main@2".to_owned());
        }
    }
    seen.extend(drain(&consumer).await?);
    equal("delivered", seen, texts(["s/main@2", "s/main@3", "s/main@4", "s/main@5"]))?;
    consumer.close().await;
    equal("consumer progress", store.consumers().info("c")?.ack_floor.get(), 5)
}

fn a_consumer_resumes_when_it_is_opened_again(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=4))?;
    in_tasks(async {
        half(&store).await?;
        rest(&store).await
    })
}

fn a_consumer_resumes_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    store.append("s", run_of(1..=4))?;
    in_tasks(half(&store))?;
    let store = reopened(home, store, &settings)?;
    in_tasks(rest(&store))
}

fn a_consumer_resumes_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    store.append("s", run_of(1..=4))?;
    in_tasks(half(&store))?;
    let store = crashed(home, &settings)?;
    in_tasks(rest(&store))
}
