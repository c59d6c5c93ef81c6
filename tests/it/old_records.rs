//! Records that an earlier release wrote beside the events: consumers in one row, dead letters, timers, a projection. How the
//! file was made is in `tests/fixtures/README.md`.

use std::collections::BTreeMap;
use std::path::Path;

use retold::project::{ApplyError, Projection};
use retold::{ConsumerConfig, Error, Event, NewEvent, Owner, Query, Store};

struct Count;

impl Projection for Count {
    type State = u64;

    fn name(&self) -> &str {
        "count"
    }

    fn apply(&self, count: &mut u64, _: &Event) -> Result<(), ApplyError> {
        *count += 1;
        Ok(())
    }
}

fn opened(dir: &Path) -> Store {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/one_row.redb");
    let path = dir.join("s.redb");
    std::fs::copy(fixture, &path).unwrap();
    Store::open(path).unwrap()
}

fn addresses<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events.into_iter().map(|event| event.address().to_string()).collect()
}

#[tokio::test]
async fn a_consumer_of_one_row_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let owner = Owner::consumer("mailer").unwrap();
    let names: Vec<String> = store.consumers().list().unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["idle", "late", "mailer"]);
    let before = store.consumers().info("mailer").unwrap();
    assert_eq!((before.acknowledged, before.set_aside, before.dead_letters), (1, 2, 2));
    let outstanding: Vec<(String, bool)> =
        before.outstanding.iter().map(|o| (o.at.to_string(), o.token.is_some())).collect();
    let wanted = [("a/main@2", true), ("b/main@1", true), ("c/main@1", false), ("d/main@3", true)];
    assert_eq!(outstanding, wanted.map(|(at, out)| (at.to_owned(), out)));
    let letters = store.dead_letters().list(Some(&owner), None, 9).unwrap();
    let letters: Vec<(String, bool)> = letters.iter().map(|l| (l.at.to_string(), l.again)).collect();
    assert_eq!(letters, [("d/main@1".to_owned(), true), ("d/main@2".to_owned(), false)]);

    // With other settings it is another; a token of before is good.
    let asked = store.consumers().open("mailer", ConsumerConfig::new()).await;
    assert!(matches!(asked, Err(Error::Differs { .. })));
    let mailer = store.consumers().open_existing("mailer").await.unwrap();
    for outstanding in before.outstanding.iter().filter_map(|o| o.token.as_ref()) {
        mailer.ack(outstanding).await.unwrap();
    }
    let mut given = Vec::new();
    while let Some(delivery) = mailer.try_next().await.unwrap() {
        given.push(delivery.event().clone());
        delivery.ack().await.unwrap();
    }
    let mut by_branch: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in &given {
        by_branch.entry(event.place().to_string()).or_default().push(event.sequence().get());
    }
    // The branch that waits for a week waits; the replayed dead letter comes before what is new.
    let wanted = [
        ("a/main", vec![3, 4, 5, 6]),
        ("a/retry", vec![4]),
        ("b/main", vec![2, 3, 4, 5, 6]),
        ("d/main", vec![1, 4, 5, 6]),
    ];
    assert_eq!(by_branch, wanted.map(|(place, events)| (place.to_owned(), events)).into());
    mailer.close().await;
    let after = store.consumers().info("mailer").unwrap();
    assert_eq!((after.acknowledged, after.dead_letters, after.outstanding.len()), (18, 1, 1));
    let idle = store.consumers().open_existing("idle").await.unwrap();
    let late = store.consumers().open_existing("late").await.unwrap();
    store.append("e", NewEvent::new("step.new")).unwrap();
    assert_eq!(idle.next().await.unwrap().event().address().to_string(), "e/main@1");
    assert!(late.try_next().await.unwrap().is_none());
    assert!(store.maintenance().verify().unwrap().is_clean());
    store.close_async().await.unwrap();
}

#[test]
fn timers_and_a_projection_go_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    assert_eq!(store.timers().list(9).unwrap().len(), 2);
    assert_eq!(store.timers().fire().unwrap().recorded, 1);
    let info = store.projections().info("count").unwrap();
    assert!(info.position.get() > 0, "{info:?}");
    let count = store.project(Count).unwrap();
    count.catch_up().unwrap();
    assert_eq!((count.state("a").unwrap(), count.state("a/retry").unwrap()), (7, 4));
    let events: Vec<Event> = store.events(Query::branch("a").unwrap()).unwrap().map(Result::unwrap).collect();
    assert_eq!(addresses(&events).last().map(String::as_str), Some("a/main@7"));
    store.close().unwrap();
}
