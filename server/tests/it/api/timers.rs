//! Timers, as a token for some sessions sees them.

use std::time::Duration;

use retold::bus::timers::Due;
use retold::{EventId, NewEvent};
use retold_server::Scope;

use crate::harness::Served;

#[tokio::test]
async fn why_a_timer_was_refused_tells_a_narrow_token_nothing_of_other_sessions() {
    let served = Served::start(&[("narrow", Scope::Read, "run-*"), ("wide", Scope::Read, "*")]).await;
    let id = EventId::new();
    let store = served.store.clone();
    store.append("run-1", NewEvent::new("run.started")).unwrap();
    store.timers().schedule("run-1", NewEvent::new("a").with_id(id), Due::After(Duration::ZERO)).unwrap();
    store.append("other", NewEvent::new("b").with_id(id)).unwrap();
    assert_eq!(store.timers().fire().unwrap().refused, 1);
    for path in ["/v1/timers".to_owned(), format!("/v1/timers/{id}")] {
        let narrow = served.ask("GET", &path).token("narrow").send().await;
        assert_eq!(narrow.status, 200, "{}", narrow.text());
        assert!(narrow.text().contains("the store refused the event"), "{}", narrow.text());
        assert!(!narrow.text().contains("other"), "{}", narrow.text());
    }
    let local = store.timers().get(id).unwrap().refused.unwrap();
    assert!(local.contains("other/main@1"), "{local}");
}
