//! An application to look at while it runs. Start it, and try these in another terminal, in the same folder:
//!
//! ```console
//! $ cargo run --example application                     # for a minute; any number of seconds can be given
//! $ export RETOLD_STORE=application.redb
//! $ cargo run -q -- ls                                  # its sessions
//! $ cargo run -q -- tail                                # what it records, as it records it
//! $ cargo run -q -- describe job-1
//! $ cargo run -q -- fork job-1@2 what-if
//! $ cargo run -q -- append job-1 message.user --data '"stop"'   # and it stops that job
//! $ cargo run -q -- info                                # who owns the store, and who its clients are
//! ```

use std::io::IsTerminal;
use std::task::Poll;
use std::time::{Duration, Instant};

use retold::{Follow, Followed, NewEvent, Store};
use serde_json::json;

const JOBS: u64 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Nobody watches one whose output goes to a file.
    let default = if std::io::stdout().is_terminal() { 60.0 } else { 1.0 };
    let seconds = std::env::args().nth(1).map_or(Ok(default), |text| text.parse::<f64>())?;
    let store = Store::builder().program("application").open("application.redb")?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        let jobs = (1..=JOBS).map(|n| {
            scope.spawn({
                let store = &store;
                move || job(store, &format!("job-{n}"), end)
            })
        });
        jobs.collect::<Vec<_>>().into_iter().try_for_each(|job| job.join().unwrap_or(Ok(())))
    })?;
    let owner = store.maintenance().info()?.owner;
    println!(
        "{} events are in application.redb; its owner was {}",
        store.committed(),
        owner.map_or(0, |owner| owner.pid)
    );
    store.close()?;
    Ok(())
}

/// Records its steps until it is over, or until somebody else, in any process, has told it to stop.
fn job(store: &Store, session: &str, end: Instant) -> retold::Result<()> {
    let begun = store.append(session, NewEvent::new("run.started").data(json!({ "goal": "count" })))?;
    let mut following =
        store.follow(Follow::session(session)?.after_position(begun.position().get()))?.blocking();
    for step in 1.. {
        store.append(session, NewEvent::new("step.done").data(json!({ "step": step })))?;
        let next = Instant::now() + Duration::from_millis(500);
        while let Poll::Ready(Some(followed)) =
            following.next_within(next.saturating_duration_since(Instant::now()))
        {
            if let Followed::Event { event, .. } = followed?
                && event.kind() == "message.user"
            {
                store.append(session, NewEvent::new("run.completed").data(json!({ "stopped": true })))?;
                return Ok(());
            }
        }
        if next > end {
            break;
        }
    }
    store.append(session, NewEvent::new("run.completed").data(json!({ "stopped": false })))?;
    Ok(())
}
