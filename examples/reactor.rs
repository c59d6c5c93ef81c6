//! A reactor in the process: handlers answer events with events, a failing one leaves a dead letter, and the program ends by
//! itself.

use std::time::Duration;

use retold::{Bus, Message, NewEvent, Owner, Store};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory()?;
    let bus = Bus::builder()
        .max_deliveries(3)
        .backoff(Duration::from_millis(5), Duration::from_millis(20))
        .open(&store)?;

    // Every call of a tool is answered on its branch. What the handler publishes has the call as its cause.
    let link = bus.link();
    bus.subscribe("tool.invoked").named("tools").run(move |call: Message| {
        let bus = link.clone();
        async move {
            let answer = NewEvent::new("tool.completed").data(json!({"tool": "grep", "result": {"hits": 3}}));
            bus.publish(call.place(), answer).await.map(|_| ())
        }
    })?;

    // A mail server that is down: called three times for each failed run, then the event is a dead letter.
    let mailer = bus.subscribe("run.failed").named("mailer").awaited();
    mailer.run(|_| async { Err::<(), _>("no route to the mail server") })?;

    // What goes by, on the screen. Listening begins before anything is published.
    let mut completed = bus.listen("tool.completed")?;

    let runner = bus.emitter("runner", "run-7")?.actor("agent-3");
    runner.emit_nowait(NewEvent::new("run.started"));
    bus.flush().await;
    store.fork_async("run-7", "retry").await?;
    runner.to("run-7/retry")?.emit_nowait(NewEvent::new("tool.invoked").data(json!({"tool": "grep"})));
    let answer = completed.first(|_| true, Duration::from_secs(10)).await?.ok_or("no answer came")?;
    let causes = bus.causes(answer.id()).await?;
    let cause = causes.first().ok_or("nothing caused it")?;
    println!("{} on {} because of {}", answer.kind(), answer.branch(), cause.kind());
    if answer.place() != cause.place() {
        return Err("the answer is on another branch than its call".into());
    }

    let failed = bus.publish("run-7", NewEvent::new("run.failed")).await?;
    for answered in failed.failed() {
        println!("{}: {:?}", answered.handler, answered.answer);
    }
    for dead_letter in store.dead_letters().list(Some(&Owner::handler("mailer")?), None, 10)? {
        println!(
            "dead letter: {} after {} calls: {}",
            dead_letter.kind, dead_letter.deliveries, dead_letter.error
        );
    }
    for handler in bus.handlers() {
        println!(
            "{}: {} events, {} calls, {} errors",
            handler.name, handler.events, handler.calls, handler.errors
        );
    }
    bus.close().await?;
    store.close()?;
    Ok(())
}
