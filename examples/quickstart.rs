//! A first session: append, fork, try again, replay, follow.

use retold::{Expect, Follow, NewEvent, Query, Store};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path().join("runs.redb"))?;

    // A session begins with its first event. When `append` returns, the event is on disk.
    store.append("run-7", NewEvent::new("run.started").data(json!({"goal": "fix the build"})))?;
    store.append("run-7", NewEvent::new("tool.errored").data(json!({"tool": "cargo", "code": 101})))?;

    // Try again from the first event, on a branch that shares what came before.
    store.fork("run-7@1", "retry")?;
    let again = NewEvent::new("tool.completed").data(json!({"tool": "cargo", "code": 0}));
    store.append_if("run-7/retry", Expect::Head(1.into()), again)?;

    for event in store.events(Query::branch("run-7/retry")?)? {
        let event = event?;
        println!("{} {} {}", event.address(), event.kind(), event.json::<serde_json::Value>()?);
    }

    // Replay, then live: no event is missed or seen twice.
    let mut following = store.follow(Follow::session("run-7")?)?;
    for _ in 0..3 {
        if let Some(event) = following.next_event().await {
            println!("saw {}", event?.kind());
        }
    }
    store.close()?;
    Ok(())
}
