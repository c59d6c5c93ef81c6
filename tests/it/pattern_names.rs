//! A pattern takes a type by every name that the catalogue of the store has for it.

use retold::event::{Catalogue, TypeSpec};
use retold::{Bus, ConsumerConfig, Filter, Follow, Message, NewEvent, Persistence, Query, Store};

/// A store that calls `sent` another name of `parcel.shipped`, with an event under that name.
fn post() -> Store {
    let types = Catalogue::builtin().with([TypeSpec::named("parcel.shipped").alias("sent")]).unwrap();
    let store = Store::builder().types(types).in_memory().unwrap();
    store.append("s", NewEvent::new("sent")).unwrap();
    store
}

#[tokio::test]
async fn a_pattern_takes_the_names_that_the_catalogue_of_the_store_has_wherever_it_is_given() {
    let store = post();
    let shipped = || Filter::new().pattern("parcel.*".parse().unwrap());
    let query = || Query::branch("s").unwrap().filter(shipped());
    assert_eq!(store.read(&query()).unwrap().events.len(), 1);
    assert_eq!(store.events(query()).unwrap().count(), 1);
    assert_eq!(store.events(query().reverse()).unwrap().count(), 1);
    assert!(store.stream(query()).next().await.is_some());
    let mut following = store.follow(Follow::all().filter(shipped())).unwrap();
    assert_eq!(following.next_event().await.unwrap().unwrap().kind(), "sent");
    let config = ConsumerConfig::new().pattern("parcel.*".parse().unwrap());
    assert_eq!(
        store.consumers().open("c", config).await.unwrap().next().await.unwrap().event().kind(),
        "sent"
    );
    let config = ConsumerConfig::new().except("parcel.*".parse().unwrap());
    assert!(store.consumers().open("none", config).await.unwrap().try_next().await.unwrap().is_none());

    // A rule that drops takes exactly what it names, unless aliases are asked for.
    let exact = Bus::builder().persist("parcel.*", Persistence::Ephemeral).unwrap().open(&store).unwrap();
    exact.publish("s", NewEvent::new("sent")).await.unwrap();
    exact.publish("s", NewEvent::new("parcel.shipped")).await.unwrap();
    assert_eq!(store.head("s").unwrap().get(), 2);
    exact.close().await.unwrap();

    let bus = Bus::builder().persist_with_aliases("parcel.*", Persistence::Ephemeral).unwrap();
    let bus = bus.open(&store).unwrap();
    let mut listener = bus.listen("parcel.*").unwrap();
    let handled = bus
        .subscribe("parcel.*")
        .named("h")
        .awaited()
        .run(|message: Message| async move { serde_json::json!(message.kind()) });
    handled.unwrap();
    let others = bus.subscribe("**").except("parcel.*").named("others").awaited();
    others.run(|_| async {}).unwrap();
    let published = bus.publish("s", NewEvent::new("sent")).await.unwrap();
    assert_eq!(published.answers.iter().map(|a| &*a.handler).collect::<Vec<_>>(), ["h"]);
    assert_eq!(listener.next().await.unwrap().unwrap().kind(), "sent");
    assert_eq!(bus.get_history("parcel.*", None, 9).unwrap().len(), 1);
    // It was not recorded.
    assert_eq!(store.head("s").unwrap().get(), 2);
    bus.close().await.unwrap();
}
