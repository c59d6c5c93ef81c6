//! A durable worker: each job is done at least once, and its result is recorded exactly once, whatever crashes.

use std::time::Duration;

use retold::{Batch, ConsumerConfig, Delivery, Expect, NewEvent, Owner, Query, Store};
use serde_json::json;

/// Does a job, or says why it cannot be done.
fn work(delivery: &Delivery) -> Result<u64, String> {
    let job: serde_json::Value = delivery.event().json().map_err(|e| e.to_string())?;
    match (job["number"].as_u64(), delivery.deliveries()) {
        // The world is not always ready.
        (Some(13), 1..=2) => Err("the service is busy".into()),
        (Some(number), _) => Ok(number * number),
        (None, _) => Err("a job without a number".into()),
    }
}

async fn run(name: &'static str, store: &Store) -> Result<(), retold::Error> {
    let config = ConsumerConfig::new()
        .pattern("job.requested".parse()?)
        .deadline(Duration::from_secs(30))
        .max_deliveries(4)
        .backoff(Duration::from_millis(5), Duration::from_millis(50));
    let consumer = store.consumer("squares", config).await?;
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
            // Nobody can do this one: it is set aside, and its session goes on.
            Err(why)
                if delivery.event().json::<serde_json::Value>().is_ok_and(|job| job["number"].is_null()) =>
            {
                delivery.park(why).await?;
            }
            Err(why) => {
                println!("{name}: {why}, delivery {}", delivery.deliveries());
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
    for letter in store.letters(Some(&owner), None, 10)? {
        println!("letter: {} of {}: {}", letter.kind, letter.at, letter.error);
    }
    let info = store.consumer_info("squares")?;
    println!("{} done, {} set aside", info.acknowledged, info.letters);
    assert_eq!((info.acknowledged, info.letters), (6, 1));
    store.close()?;
    Ok(())
}
