//! Events are appended, in every format, once.

use retold::{Expect, NewEvent, Query};
use retold_server::Scope;
use serde_json::{Value, json};

use crate::harness::{Answer, Served};

const AT: &str = "/v1/sessions/s/branches/main/events";

async fn send(served: &Served, content_type: &str, body: &str) -> Answer {
    served.ask("POST", AT).body(content_type, body.to_owned()).send().await
}

fn kinds(served: &Served) -> Vec<String> {
    let events = served.store.read(&Query::all()).unwrap().events;
    events.iter().map(|event| event.kind().to_owned()).collect()
}

#[tokio::test]
async fn every_format_is_recorded_as_it_was_sent() {
    let served = Served::open().await;
    let ce = r#"{"specversion":"1.0","id":"1","source":"/a","type":"c.one","data":{"a":1}}"#;
    let other = ce.replace(r#""id":"1""#, r#""id":"2""#).replace("c.one", "c.two");
    for (content_type, body, count) in [
        ("application/json", r#"{"type":"j.one","data":{"n": 1.10}}"#.to_owned(), 1),
        ("application/json; charset=utf-8", r#" [{"type":"j.two"},{"type":"j.three"}]"#.to_owned(), 2),
        ("application/x-ndjson", "{\"type\":\"l.one\"}\n\n{\"type\":\"l.two\"}\r\n".to_owned(), 2),
        ("application/cloudevents+json", ce.to_owned(), 1),
        ("application/cloudevents-batch+json; charset=UTF-8", format!("[{other}]"), 1),
    ] {
        let before = served.store.head("s").map_or(0, |head| head.get());
        let answer = send(&served, content_type, &body).await;
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.text());
        let receipt = answer.json();
        assert_eq!((&receipt["first"], &receipt["last"]), (&json!(before + 1), &json!(before + count)));
        assert_eq!((&receipt["session"], &receipt["branch"]), (&json!("s"), &json!("main")));
        assert_eq!(receipt["duplicate"], false);
        assert!(receipt["recorded"].is_string() && receipt["position"].is_u64(), "{receipt}");
        assert_eq!(answer.header("location").unwrap(), format!("{AT}/{}", before + 1));
    }
    let binary = served.ask("POST", AT).header("ce-specversion", "1.0").header("ce-id", "3");
    let binary =
        binary.header("ce-source", "/a").header("ce-type", "c.three").header("ce-actor", "J%C3%B6rg");
    let answer = binary.body("text/plain", "hi").send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let due = ["j.one", "j.two", "j.three", "l.one", "l.two", "c.one", "c.two", "c.three"];
    assert_eq!(kinds(&served), due);
    let last = served.store.read(&Query::branch("s").unwrap().reverse().limit(1)).unwrap().events;
    assert_eq!((last[0].actor(), last[0].payload()), (Some("Jörg"), &b"hi"[..]));
    let first = served.store.read(&Query::branch("s").unwrap().limit(1)).unwrap().events;
    assert_eq!(first[0].payload(), br#"{"n": 1.10}"#, "byte for byte");
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_nothing_is_recorded() {
    let served = Served::open().await;
    for (content_type, body, status) in [
        ("application/json", "", 400),
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", "3", 400),
        ("application/json", r#"{"kind":"a"}"#, 400),
        ("application/json", r#"{"type":"a","more":1}"#, 400),
        ("application/json", r#"{"type":"a","session":"t"}"#, 400),
        ("application/json", r#"{"type":"a","branch":"b"}"#, 400),
        ("application/json", r#"[{"type":"a"},{"type":"A..b"}]"#, 400),
        ("application/x-ndjson", "{\"type\":\"a\"}\nnonsense\n", 400),
        ("application/cloudevents+json", r#"{"type":"a"}"#, 400),
        ("application/cloudevents+json", r#"{"specversion":"0.3","id":"1","source":"a","type":"a"}"#, 400),
        ("application/cloudevents+json", r#"{"specversion":"1.0","source":"a","type":"a"}"#, 400),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"a","type":"a","data":1,"data_base64":"AA=="}"#,
            400,
        ),
        (
            "application/cloudevents-batch+json",
            r#"{"specversion":"1.0","id":"1","source":"a","type":"a"}"#,
            400,
        ),
        ("application/cloudevents-batch+json", r#"[{"type":"a"}]"#, 400),
        ("application/cloudevents+xml", "<a/>", 415),
        ("text/plain", "hi", 415),
    ] {
        let answer = send(&served, content_type, body).await;
        assert_eq!(answer.status, status, "{content_type} {body}: {}", answer.text());
        answer.problem();
    }
    let answer = send(&served, "application/x-ndjson", "{\"type\":\"a\"}\nnonsense\n").await;
    assert_eq!(answer.json()["line"], 2);
    for (name, value) in [("expect-sequence", "-1"), ("expect-sequence", "x"), ("retold-lease", "x")] {
        let answer = served.ask("POST", AT).header(name, value).json(&json!({"type": "a"})).send().await;
        assert_eq!(answer.status, 400, "{name}: {value}");
    }
    for path in ["?durability=never", "?durable=1"] {
        assert_eq!(served.post(&format!("{AT}{path}"), &json!({"type": "a"})).await.status, 400, "{path}");
    }
    let elsewhere =
        served.post("/v1/sessions/s/branches/b/events", &json!({"type": "a", "branch": "main"})).await;
    assert_eq!(elsewhere.json()["field"], "branch");
    assert!(kinds(&served).is_empty());
}

#[tokio::test]
async fn an_append_says_where_the_branch_has_to_be() {
    let served = Served::open().await;
    let sent = |expect: &'static str| {
        served.ask("POST", AT).header("expect-sequence", expect).json(&json!({"type": "a"}))
    };
    assert_eq!(sent("0").send().await.status, 201);
    assert_eq!(sent("1").send().await.status, 201);
    let refused = sent("1").send().await;
    assert_eq!((refused.status, refused.problem()), (409, "conflict".to_owned()));
    assert_eq!((&refused.json()["expected"], &refused.json()["actual"]), (&json!(1), &json!(2)));
    assert_eq!(sent("empty").send().await.json()["expected"], 0);
    assert_eq!(sent("any").send().await.status, 201);
}

#[tokio::test]
async fn a_retry_is_answered_as_the_first_time() {
    let served = Served::open().await;
    let event = NewEvent::new("a").data(json!({"n": 1}));
    let body =
        json!({"id": event.id().to_string(), "type": "a", "time": "2026-02-03T04:05:06Z", "data": {"n": 1}});
    let first = served.post(AT, &body).await;
    served.post(AT, &json!({"type": "b"})).await;
    let again = served.post(AT, &body).await;
    assert_eq!((first.status, again.status), (201, 200), "{}", again.text());
    let (mut first, again) = (first.json(), again.json());
    assert_eq!(again["duplicate"], true);
    first["duplicate"] = Value::Bool(true);
    // When that was, an answer to a retry does not know.
    assert!(first["recorded"].is_string());
    first["recorded"] = Value::Null;
    assert_eq!(first, again);
    let mut other = body.clone();
    other["data"] = json!({"n": 2});
    let refused = served.post(AT, &other).await;
    assert_eq!((refused.status, refused.problem()), (409, "duplicate".to_owned()));
    assert_eq!(kinds(&served), ["a", "b"]);
}

#[tokio::test]
async fn a_lease_that_is_over_fences_off() {
    let served = Served::open().await;
    let lease = served.store.leases().acquire("s", "w-1", std::time::Duration::from_secs(60)).unwrap();
    let sent = || {
        served.ask("POST", AT).header("retold-lease", &lease.token.to_string()).json(&json!({"type": "a"}))
    };
    assert_eq!(sent().send().await.status, 201);
    served.store.leases().release(&lease.token).unwrap();
    served.store.leases().acquire("s", "w-2", std::time::Duration::from_secs(60)).unwrap();
    let refused = sent().send().await;
    assert_eq!((refused.status, refused.problem()), (409, "lease-lost".to_owned()));
    assert_eq!(kinds(&served), ["a"]);
}

#[tokio::test]
async fn several_branches_are_appended_to_together_or_not_at_all() {
    let served = Served::open().await;
    let both = |expect: u64| {
        json!({"parts": [
            {"session": "s", "events": [{"type": "a"}, {"type": "b"}]},
            {"session": "t", "branch": "main", "expect": expect, "events": [{"type": "c"}]},
        ], "durability": "durable"})
    };
    let answer = served.post("/v1/append", &both(0)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let parts = &answer.json()["parts"];
    assert_eq!(
        (&parts[0]["last"], &parts[1]["session"], &parts[1]["first"]),
        (&json!(2), &json!("t"), &json!(1))
    );
    assert_eq!(served.post("/v1/append", &both(0)).await.problem(), "conflict");
    for bad in [
        json!({}),
        json!({"parts": []}),
        json!({"parts": [{"session": "s", "events": []}]}),
        json!({"parts": [{"session": "s", "events": [{"type": "a"}], "more": 1}]}),
        json!({"parts": [{"session": "s", "expect": "x", "events": [{"type": "a"}]}]}),
        json!({"parts": [{"session": "s", "events": [{"type": "a", "session": "t"}]}]}),
    ] {
        assert_eq!(served.post("/v1/append", &bad).await.status, 400, "{bad}");
    }
    assert_eq!(kinds(&served), ["a", "b", "c"]);
}

#[tokio::test]
async fn all_parts_together_have_no_more_events_than_one_append() {
    let served = Served::open().await;
    let many = |count: usize| vec![r#"{"type":"a"}"#; count].join(",");
    let parts = |second: &str| {
        let first = many(60_000);
        format!(r#"{{"parts":[{{"session":"s","events":[{first}]}},{{"session":"t","events":[{second}]}}]}}"#)
    };
    // Counted before any of them is read.
    let most = format!("{},3", many(39_999));
    let more = format!("{},3,3", many(39_999));
    for (second, field) in [(most, "line"), (more, "events")] {
        let answer = served.ask("POST", "/v1/append").body("application/json", parts(&second)).send().await;
        assert_eq!((answer.status, &answer.json()["part"]), (400, &json!(1)), "{}", answer.text());
        assert_eq!(answer.json()["field"], field, "{}", answer.text());
    }
    assert!(kinds(&served).is_empty());
}

#[tokio::test]
async fn a_token_appends_where_it_may_and_learns_nothing_of_the_rest() {
    let served = Served::start(&[("reads", Scope::Read, ""), ("mine", Scope::Append, "s")]).await;
    let theirs = NewEvent::new("a");
    let id = theirs.id().to_string();
    served.store.append_if("t", Expect::Empty, theirs).unwrap();
    let event = json!({"type": "a"});
    let by = |token: &'static str, path: &str| served.ask("POST", path).token(token);
    assert_eq!(served.post(AT, &event).await.status, 401);
    assert_eq!(by("reads", AT).json(&event).send().await.status, 403);
    assert_eq!(by("mine", AT).json(&event).send().await.status, 201);
    assert_eq!(by("mine", "/v1/sessions/t/branches/main/events").json(&event).send().await.status, 403);
    let both = json!({"parts": [{"session": "s", "events": [event]}, {"session": "t", "events": [event]}]});
    assert_eq!(by("mine", "/v1/append").json(&both).send().await.status, 403);
    let taken = by("mine", AT).json(&json!({"type": "a", "id": id})).send().await;
    assert_eq!(taken.problem(), "duplicate");
    assert!(taken.json().get("at").is_none() && !taken.text().contains("t/main"), "{}", taken.text());
    assert_eq!(served.store.head("s").unwrap().get(), 1);
}
