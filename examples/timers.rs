//! A job that is given up when nothing was heard of it for a while, also when the program was restarted meanwhile; and
//! steps in batches.

use std::time::Duration;

use retold::{Follow, NewEvent, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("jobs.redb");

    // The job begins, with two timers: one that says when it has taken too long, and one that it will not need.
    let store = Store::open(&path)?;
    store.append("job-7", NewEvent::new("task.started"))?;
    let timer = store.timers().schedule("job-7", NewEvent::new("task.failed"), Duration::from_millis(200))?;
    let reminder =
        store.timers().schedule("job-7", NewEvent::new("task.queued"), Duration::from_secs(3_600))?;
    store.timers().cancel(reminder.id)?;
    println!("{} is due at {}", timer.event.kind(), timer.due);
    // The program ends. The timer is in the store.
    store.close()?;

    let store = Store::open(&path)?;
    let _running = store.timers().run()?;
    let mut batches = store.follow(Follow::branch("job-7")?)?.batched(10, Duration::from_millis(300))?;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let Some(batch) = batches.next().await else { break };
        seen.extend(batch?.events);
    }
    for event in &seen {
        println!("{} {}", event.address(), event.kind());
    }
    assert_eq!(seen.last().map(|event| event.id()), Some(timer.id));
    assert!(store.timers().list(10)?.is_empty());
    Ok(())
}
