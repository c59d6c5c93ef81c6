//! What is asked of a bus while its store closes: every answer says what is true.

use std::collections::HashSet;
use std::time::Duration;

use retold::bus::{Answer, Bus};
use retold::{Error, EventId, NewEvent, Query};

use crate::support::reopened;

const SOON: Duration = Duration::from_secs(120);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_told_that_the_store_was_closed_only_if_its_event_is_not_recorded() {
    const PUBLISHERS: usize = 40;
    for round in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("closing.redb");
        let store = retold::Store::builder().sync(false).open(&path).unwrap();
        let bus = Bus::new(&store).unwrap();
        bus.subscribe("**").named("awaited").awaited().run(|_| async {}).unwrap();
        let publishing: Vec<_> = (0..PUBLISHERS)
            .map(|n| {
                let bus = bus.clone();
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    loop {
                        let event = NewEvent::new("step.done");
                        let id = event.id();
                        let answer = bus.publish(format!("s{n}"), event).await;
                        let ends = answer.is_err();
                        answers.push((id, answer));
                        if ends {
                            return answers;
                        }
                    }
                })
            })
            .collect();
        soon(async {
            while store.committed().get() < 20 * (round + 1) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        soon(store.close_async()).await.unwrap();
        let mut answers = Vec::new();
        for task in publishing {
            answers.extend(soon(task).await.unwrap());
        }
        soon(bus.close()).await.unwrap();
        drop((bus, store));
        let store = reopened(&path).await;
        let recorded: HashSet<EventId> =
            store.events(Query::all()).unwrap().map(|event| event.unwrap().id()).collect();
        for (id, answer) in answers {
            match answer {
                Ok(published) => {
                    assert!(published.receipt.is_some() && recorded.contains(&id));
                    let [answered] = &published.answers[..] else { panic!("{published:?}") };
                    assert!(matches!(answered.answer, Answer::Done(_) | Answer::Gone), "{answered:?}");
                }
                Err(Error::Closed { .. }) => assert!(!recorded.contains(&id), "{id} is recorded"),
                Err(e) => panic!("{e}"),
            }
        }
    }
}
