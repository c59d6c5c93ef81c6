//! A consumer whose commits are refused again and again, as beside a handle that is always first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::ConsumerConfig;
use crate::engine::{Commit, Refusing, open_in_memory};
use crate::error::Error;
use crate::event::NewEvent;
use crate::store::{Builder, Store};

/// Refuses so many commits that expect a record.
fn store() -> (Store, Arc<AtomicUsize>) {
    let refuse = |commit: &Commit| {
        let expects = commit.records().is_some_and(|records| !records.expected().is_empty());
        expects.then(|| Error::RecordChanged { record: "the header".into() })
    };
    let left = Arc::<AtomicUsize>::default();
    let engine = Refusing { engine: open_in_memory(false), left: left.clone(), refuse };
    (Builder::new().on(Arc::new(engine)).unwrap(), left)
}

#[tokio::test]
async fn who_is_overtaken_often_answers_everybody_all_the_same() {
    for refused in 1..12 {
        let (store, left) = store();
        let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
        store.append("s", [NewEvent::new("a.b"), NewEvent::new("a.b")]).unwrap();
        let soon = |work| tokio::time::timeout(Duration::from_secs(60), work);
        left.store(refused, Ordering::SeqCst);
        let first = soon(consumer.next()).await.expect("an answer").unwrap();
        assert_eq!((first.event().sequence().get(), first.deliveries()), (1, 1));
        // Its branch waits, and the second event is scanned and stored as such: nothing new comes that would wake anybody.
        left.store(0, Ordering::SeqCst);
        assert!(consumer.try_next().await.unwrap().is_none());
        first.touch().await.unwrap();
        left.store(refused, Ordering::SeqCst);
        first.ack().await.unwrap();
        left.store(refused, Ordering::SeqCst);
        let try_next = tokio::time::timeout(Duration::from_secs(60), consumer.try_next());
        let second = try_next.await.expect("an answer").unwrap().unwrap();
        assert_eq!((second.event().sequence().get(), second.deliveries()), (2, 1));
        assert_eq!(store.consumers().info("c").unwrap().acknowledged, 1);
    }
}
