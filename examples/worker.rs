//! A durable worker: each job is done at least once, and its result is recorded exactly once, whatever crashes.

use std::time::Duration;

use retold::{Batch, ConsumerConfig, Delivery, Expect, NewEvent, Owner, Query, Store};
use serde_json::json;

#[derive(serde::Deserialize)]
struct Job {
    number: u64,
}

enum Failed {
    /// The world is not always ready.
    Busy,
    /// Nobody can do this one.
    Never(String),
}

fn work(delivery: &Delivery) -> Result<u64, Failed> {
    let job: Job = delivery.event().json().map_err(|e| Failed::Never(e.to_string()))?;
    match (job.number, delivery.deliveries()) {
        (13, 1..=2) => Err(Failed::Busy),
        (number, _) => Ok(number * number),
    }
}

async fn run(name: &'static str, store: &Store) -> Result<(), retold::Error> {
    let config = ConsumerConfig::new()
        .pattern("job.requested".parse()?)
        .deadline(Duration::from_secs(30))
        .max_deliveries(4)
        .backoff(Duration::from_millis(5), Duration::from_millis(50));
    let consumer = store.consumers().open("squares", config).await?;
    // A service would wait with `consumer.next().await?` for ever.
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await {
        let delivery = next?;
        match work(&delivery) {
            Ok(square) => {
                let done = NewEvent::new("job.done")
                    .actor(name)
                    .causation(delivery.event().id())
                    .data(json!({ "square": square }));
                let session = delivery.event().session().clone();
                // The result and the acknowledgement, in one transaction.
                delivery.ack_with(Batch::new().add(format!("{session}-results"), Expect::Any, done)?).await?;
            }
            // It is set aside, and its session goes on.
            Err(Failed::Never(why)) => delivery.park(why).await?,
            Err(Failed::Busy) => {
                println!("{name}: busy, delivery {}", delivery.deliveries());
                delivery.nack(None).await?;
            }
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path().join("jobs.redb"))?;
    for n in 10..16 {
        let session = format!("batch-{}", n % 2);
        store.append(session, NewEvent::new("job.requested").data(json!({ "number": n })))?;
    }
    store.append("batch-0", NewEvent::new("job.requested").data(json!({ "text": "no number" })))?;

    // Two workers share the consumer. Jobs of a session are done in their order.
    let (a, b) = tokio::join!(run("ann", &store), run("bob", &store));
    a.and(b)?;

    for n in 0..2 {
        for event in store.events(Query::branch(format!("batch-{n}-results").as_str())?)? {
            let event = event?;
            println!(
                "{} by {}: {}",
                event.address(),
                event.actor().unwrap_or("?"),
                event.json::<serde_json::Value>()?
            );
        }
    }
    let owner = Owner::consumer("squares")?;
    for dead_letter in store.dead_letters().list(Some(&owner), None, 10)? {
        println!("dead letter: {} of {}: {}", dead_letter.kind, dead_letter.at, dead_letter.error);
    }
    let info = store.consumers().info("squares")?;
    println!("{} done, {} set aside", info.acknowledged, info.dead_letters);
    assert_eq!((info.acknowledged, info.dead_letters), (6, 1));
    store.close()?;
    Ok(())
}
