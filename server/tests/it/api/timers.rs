//! Timers, as a token for some sessions sees them.

use std::time::Duration;

use retold::bus::timers::Due;
use retold::{EventId, NewEvent};
use retold_server::Scope;
use serde_json::{Value, json};

use super::{did, each, filled, got};
use crate::harness::Served;

fn set(served: &Served, session: &str, seconds: u64) -> String {
    let due = Due::After(Duration::from_secs(seconds));
    served.store.timers().schedule(session, NewEvent::new("run.timed_out"), due).unwrap().id.to_string()
}

/// More than are read at once: others' timers may be due before all of one's own.
#[tokio::test]
async fn timers_of_others_are_no_part_of_a_page_nor_of_where_the_next_begins() {
    let served = filled().await;
    for n in 0..1_500 {
        set(&served, "other", 60 + n % 7);
    }
    let mine: Vec<String> = (0..5).map(|n| set(&served, "run-7", 50 + 20 * n)).collect();
    set(&served, "other", 3_000);
    let (mut found, mut after) = (Vec::new(), String::new());
    for _ in 0..3 {
        let (status, page) = got(&served, "runs-read", &format!("/v1/timers?limit=2{after}")).await;
        assert_eq!(status, 200, "{page}");
        assert!(each(&page["timers"], "session").iter().all(|session| *session == "run-7"), "{page}");
        found.extend(each(&page["timers"], "id").into_iter().map(str::to_owned));
        // What was shown last goes before the next page is asked for.
        served.store.timers().cancel(found.last().unwrap().parse().unwrap()).unwrap();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => assert_eq!(found.len(), 5),
        }
    }
    assert_eq!(found, mine);
    for bad in ["x", "p1_x", mine[0].as_str()] {
        assert_eq!(got(&served, "runs-read", &format!("/v1/timers?after={bad}")).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_same_timer_again_is_not_made_again() {
    let served = filled().await;
    let event = json!({ "type": "run.timed_out", "id": EventId::new().to_string() });
    let timer = json!({ "session": "run-7", "event": event, "after": "10m" });
    let (status, made) = did(&served, "runs-append", "POST", "/v1/timers", timer.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(did(&served, "runs-append", "POST", "/v1/timers", timer).await, (200, made));
    let (_, page) = got(&served, "all", "/v1/timers").await;
    assert_eq!((page["timers"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
}

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
