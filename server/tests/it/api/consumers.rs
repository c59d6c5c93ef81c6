//! Durable consumers over HTTP, and what became of their deliveries.

use retold::NewEvent;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{did, each, filled, got};
use crate::harness::{Served, soon};

async fn mailer(served: &Served) {
    let settings = json!({ "types": ["mail.*"], "max_deliveries": 2, "backoff": "0", "max_backoff": "0" });
    assert_eq!(did(served, "all", "PUT", "/v1/consumers/mailer", settings).await.0, 201);
}

async fn work(served: &Served, verb: &str, body: Value) -> (u16, Value) {
    did(served, "all", "POST", &format!("/v1/consumers/mailer/{verb}"), body).await
}

#[tokio::test]
async fn a_consumer_is_made_once_and_removed() {
    let served = filled().await;
    mailer(&served).await;
    let settings = json!({ "types": ["mail.*"], "max_deliveries": 2, "backoff": "0", "max_backoff": "0" });
    assert_eq!(did(&served, "all", "PUT", "/v1/consumers/mailer", settings).await.0, 200);
    let (status, problem) =
        did(&served, "all", "PUT", "/v1/consumers/mailer", json!({ "types": ["x.*"] })).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:retold:problem:differs")));
    for bad in [
        json!({ "tpyes": [] }),
        json!({ "deadline": "soon" }),
        json!({ "begin": { "from": "x" } }),
        json!({ "begin": { "from": "end", "since": "1h" } }),
        json!({ "types": ["["] }),
    ] {
        assert_eq!(did(&served, "all", "PUT", "/v1/consumers/other", bad.clone()).await.0, 400, "{bad}");
    }
    let (_, page) = got(&served, "reads", "/v1/consumers").await;
    assert_eq!((each(&page["consumers"], "name"), &page["next"]), (vec!["mailer"], &json!(null)));
    for token in ["runs", "runs-read"] {
        assert_eq!(got(&served, token, "/v1/consumers").await.0, 403, "{token}");
        assert_eq!(got(&served, token, "/v1/consumers/mailer").await.0, 403, "{token}");
        assert_eq!(
            did(&served, token, "POST", "/v1/consumers/mailer/next", json!({})).await.0,
            403,
            "{token}"
        );
    }
    assert_eq!(
        did(&served, "all", "POST", "/v1/consumers/mailer/reset", json!({ "from": "end" })).await.0,
        200
    );
    assert_eq!(did(&served, "all", "DELETE", "/v1/consumers/mailer", json!({})).await.0, 200);
    assert_eq!(did(&served, "all", "DELETE", "/v1/consumers/mailer", json!({})).await.0, 404);
    assert_eq!(work(&served, "next", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_delivery_is_acknowledged_once_with_what_came_of_it() {
    let served = filled().await;
    mailer(&served).await;
    assert_eq!(work(&served, "next", json!({})).await, (204, Value::Null));
    assert_eq!(work(&served, "next", json!({ "wait": 31 })).await.0, 400);
    // It is waited for.
    let waiting = async { work(&served, "next", json!({ "wait": 20 })).await };
    let appended =
        async { served.store.append_async("run-7", NewEvent::new("mail.requested")).await.unwrap() };
    let ((status, delivered), _) = soon(async { tokio::join!(waiting, appended) }).await;
    assert_eq!(
        (status, &delivered["event"]["type"], &delivered["deliveries"]),
        (200, &json!("mail.requested"), &json!(1))
    );
    let token = delivered["token"].clone();
    assert_eq!(work(&served, "extend", json!({ "token": token })).await.0, 200);
    let parts = json!([{ "session": "run-7", "events": [{ "type": "mail.sent" }], "expect": 99 }]);
    assert_eq!(work(&served, "ack", json!({ "token": token, "parts": parts })).await.0, 409);
    let parts = json!([{ "session": "run-7", "events": [{ "type": "mail.sent" }], "expect": 4 }]);
    let (status, done) = work(&served, "ack", json!({ "token": token, "parts": parts })).await;
    assert_eq!((status, &done["done"], &done["parts"][0]["last"]), (200, &json!("acknowledged"), &json!(5)));
    let (status, problem) = work(&served, "ack", json!({ "token": token })).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:retold:problem:not-delivered")));
    for bad in [
        json!({}),
        json!({ "token": "x" }),
        json!({ "token": token, "parts": [{ "session": "a/b", "events": [] }] }),
    ] {
        assert_eq!(work(&served, "ack", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn dead_letters_that_are_worked_off_page_by_page_come_once_each() {
    let served = filled().await;
    mailer(&served).await;
    for session in ["run-7", "run-8", "run-9"] {
        served.store.append(session, NewEvent::new("mail.requested")).unwrap();
        let (_, delivered) = work(&served, "next", json!({ "wait": 20 })).await;
        let parked = json!({ "token": delivered["token"], "reason": "no such host" });
        assert_eq!(work(&served, "park", parked).await.0, 200);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = got(&served, "reads", &format!("/v1/dead-letters?limit=1{after}")).await;
        assert_eq!(status, 200, "{page}");
        let position = page["dead_letters"][0]["position"].as_u64().unwrap();
        seen.push(position);
        let path = format!("/v1/dead-letters/mailer/{position}");
        assert_eq!(did(&served, "all", "DELETE", &path, json!({})).await.0, 200);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, [8, 9, 10]);
}

#[tokio::test]
async fn a_wait_ends_before_the_time_of_its_request() {
    let served = Served::limited(|limits| limits.request_time = std::time::Duration::from_millis(600)).await;
    served.put("/v1/consumers/mailer", &json!({})).await;
    let answer = served.post("/v1/consumers/mailer/next", &json!({ "wait": 25 })).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[tokio::test]
async fn an_event_that_was_waited_for_by_one_who_went_away_goes_to_the_next() {
    let served = filled().await;
    let once = json!({ "types": ["mail.*"], "max_deliveries": 1 });
    assert_eq!(did(&served, "all", "PUT", "/v1/consumers/mailer", once).await.0, 201);
    let body = r#"{"wait": 20}"#;
    let request = format!(
        "POST /v1/consumers/mailer/next HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer all\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for n in 1..=3u64 {
        served.connections(0).await;
        let mut gone = served.connect().await;
        gone.write_all(request.as_bytes()).await.unwrap();
        served.connections(1).await;
        // It goes away while it waits.
        drop(gone);
        served.connections(0).await;
        served.store.append_async("run-7", NewEvent::new("mail.requested")).await.unwrap();
        let (status, delivered) = work(&served, "next", json!({ "wait": 20 })).await;
        assert_eq!((status, &delivered["deliveries"]), (200, &json!(1)), "{n}: {delivered}");
        assert_eq!(work(&served, "ack", json!({ "token": delivered["token"] })).await.0, 200);
    }
    assert_eq!(served.store.consumers().info_async("mailer").await.unwrap().dead_letters, 0);
}

#[tokio::test]
async fn what_fails_is_delivered_again_and_then_a_dead_letter() {
    let served = filled().await;
    mailer(&served).await;
    served.store.append("run-7", NewEvent::new("mail.requested")).unwrap();
    let (_, delivered) = work(&served, "next", json!({})).await;
    let (status, done) = work(&served, "nack", json!({ "token": delivered["token"], "delay": "0" })).await;
    assert_eq!((status, &done["done"]), (200, &json!("to be delivered again")));
    let (_, delivered) = work(&served, "next", json!({ "wait": 20 })).await;
    assert_eq!(delivered["deliveries"], 2);
    let (_, done) =
        work(&served, "fail", json!({ "token": delivered["token"], "reason": "no such host" })).await;
    assert_eq!(done["done"], "set aside");
    let (_, letters) = got(&served, "reads", "/v1/dead-letters?owner=mailer&limit=1").await;
    let letter = &letters["dead_letters"][0];
    assert!(letter["error"].as_str().unwrap().contains("no such host"), "{letters}");
    assert_eq!(got(&served, "runs", "/v1/dead-letters").await.0, 403);
    let path = format!("/v1/dead-letters/mailer/{}", letter["position"]);
    let (_, shown) = got(&served, "reads", &path).await;
    assert_eq!(shown["event"]["type"], "mail.requested");
    assert_eq!(did(&served, "reads", "POST", &format!("{path}/replay"), json!({})).await.0, 403);
    assert_eq!(did(&served, "all", "POST", &format!("{path}/replay"), json!({})).await.0, 200);
    let (status, again) = work(&served, "next", json!({ "wait": 20 })).await;
    assert_eq!(status, 200);
    assert_eq!(
        work(&served, "park", json!({ "token": again["token"], "reason": "still none" })).await.0,
        200
    );
    assert_eq!(
        did(&served, "all", "POST", "/v1/dead-letters/mailer/replay", json!({})).await.1["dead_letters"],
        1
    );
    assert_eq!(did(&served, "all", "DELETE", &path, json!({})).await.0, 200);
    assert_eq!(did(&served, "all", "DELETE", &path, json!({})).await.0, 404);
    assert_eq!(
        did(&served, "all", "DELETE", "/v1/dead-letters/mailer", json!({})).await.1["dead_letters"],
        0
    );
    for bad in ["?after=x", "?owner=a%2Fb", "?limit=0", "?owner=mailer&after=other@1"] {
        assert_eq!(got(&served, "reads", &format!("/v1/dead-letters{bad}")).await.0, 400, "{bad}");
    }
}
