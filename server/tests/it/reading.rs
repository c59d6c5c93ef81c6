//! Events are read: page by page, as lines, and one by one.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use retold::{Event, NewEvent, Query, Store};
use retold_server::Scope;
use serde_json::{Value, json};

use crate::harness::Served;

fn filled(store: &Store, count: usize) {
    for n in 0..count {
        let session = ["a-1", "b-1", "a-2"][n % 3];
        let event = NewEvent::new(["tool.invoked", "tool.completed", "step.done", "tool.invoked"][n % 4]);
        let event = event.data(json!({ "n": n })).priority((n % 5) as u8).meta("odd", (n % 2).to_string());
        let event =
            event.source(["x", "y", "z"][n % 3]).actor(["x", "y"][n % 2]).correlation(format!("c-{}", n % 7));
        let event = event.occurred(retold::Timestamp::from_micros(1_000_000 * n as i64));
        store.append(session, event).unwrap();
    }
}

/// All pages, in their order.
async fn paged(served: &Served, token: &str, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = String::new();
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let at = if next.is_empty() { path.to_owned() } else { format!("{path}{sign}cursor={next}") };
        let answer = served.ask("GET", &at).token(token).send().await;
        assert_eq!(answer.status, 200, "{at}: {}", answer.text());
        let page = answer.json();
        all.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => return all,
        }
    }
}

fn written(events: &[Event]) -> Vec<Value> {
    let text =
        |event| retold::agents::interop::json::to_string(event, retold::agents::interop::json::Style::Exact);
    events.iter().map(|event| serde_json::from_str(&text(event)).unwrap()).collect()
}

type Taken = fn(&Event) -> bool;

/// Filters, and what they mean.
const MORE: [(&str, Taken); 7] = [
    ("except=tool.*", |event| !event.kind().starts_with("tool.")),
    ("source=y", |event| event.source() == Some("y")),
    ("actor=x", |event| event.actor() == Some("x")),
    ("correlation=c-3", |event| event.correlation() == Some("c-3")),
    ("where=%2Fn%20%3E%2020", |event| {
        event.json::<Value>().is_ok_and(|value| value["n"].as_u64().is_some_and(|n| n > 20))
    }),
    ("since=1970-01-01T00:00:10Z", |event| event.occurred().micros() >= 10_000_000),
    ("until=1970-01-01T00:00:30Z&except=step.*", |event| {
        event.occurred().micros() < 30_000_000 && !event.kind().starts_with("step.")
    }),
];

#[test]
fn pages_are_what_the_store_reads() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(Served::start(&[("all", Scope::Read, "")]));
    filled(&served.store, 40);
    served.store.fork("a-1@5", "retry").unwrap();
    served.store.append("a-1/retry", NewEvent::new("step.done")).unwrap();
    let asked = (
        prop::sample::select(vec![
            "/v1/events",
            "/v1/sessions/a-1/events",
            "/v1/sessions/a-1/branches/retry/events",
        ]),
        prop::option::of(0_u64..45),
        prop::option::of(1_u64..45),
        1_usize..8,
        any::<bool>(),
        prop::option::of(prop::sample::select(vec!["tool.*", "step.done", "nothing.*"])),
        prop::option::of(0_u8..6),
        prop::option::of(prop::sample::select(vec!["0", "1"])),
        prop::option::of(prop::sample::select(MORE.to_vec())),
    );
    let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
    runner
        .run(&asked, |(path, from, to, limit, reverse, kind, priority, odd, more)| {
            let mut query = match path {
                "/v1/events" => Query::all(),
                "/v1/sessions/a-1/events" => Query::session("a-1").unwrap(),
                _ => Query::branch("a-1/retry").unwrap(),
            };
            let mut filter = retold::Filter::new();
            let mut url = format!("{path}?limit={limit}&reverse={reverse}");
            if let Some(from) = from {
                url += &format!("&from={from}");
                query = query.from(from);
            }
            if let Some(to) = to {
                url += &format!("&to={to}");
                query = query.to(to);
            }
            if let Some(kind) = kind {
                url += &format!("&type={kind}");
                filter = filter.pattern(kind.parse().unwrap());
            }
            if let Some(priority) = priority {
                url += &format!("&priority={priority}");
                filter = filter.priority_at_least(priority);
            }
            if let Some(odd) = odd {
                url += &format!("&meta=odd%3D{odd}");
                filter = filter.meta("odd", odd);
            }
            query = query.filter(filter);
            if reverse {
                query = query.reverse();
            }
            let mut due: Vec<Event> = served.store.events(query).unwrap().map(Result::unwrap).collect();
            if let Some((text, is_due)) = more {
                url += &format!("&{text}");
                due.retain(is_due);
            }
            let found = runtime.block_on(paged(&served, "all", &url));
            prop_assert_eq!(found, written(&due), "{}", url);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_narrow_token_reads_what_it_may_in_global_order() {
    let served = Served::start(&[("a", Scope::Read, "a-*"), ("b", Scope::Read, "b-*")]).await;
    filled(&served.store, 30);
    let all = served.store.read(&Query::all()).unwrap().events;
    let due: Vec<Event> =
        all.into_iter().filter(|event| event.session().as_str().starts_with("a-")).collect();
    assert_eq!(paged(&served, "a", "/v1/events?limit=3").await, written(&due));
    assert_eq!(paged(&served, "a", "/v1/events").await, written(&due));
    let first = served.ask("GET", "/v1/events?limit=3").token("a").send().await.json();
    let cursor = first["next"].as_str().unwrap();
    let other = served.ask("GET", &format!("/v1/events?cursor={cursor}")).token("b").send().await;
    assert_eq!(other.problem(), "bad-cursor");
    let lines =
        served.ask("GET", "/v1/events").token("a").header("accept", "application/x-ndjson").send().await;
    let lines: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, written(&due));
    for path in ["/v1/sessions/b-1/events", "/v1/sessions/none/events", "/v1/sessions/b-1/branches/x/events"]
    {
        let refused = served.ask("GET", path).token("a").send().await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(!refused.text().contains("b-1"), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_one_question() {
    let served = Served::open().await;
    filled(&served.store, 20);
    let first = served.get("/v1/events?limit=2&type=tool.*").await.json();
    let cursor = first["next"].as_str().unwrap();
    let at = |path: &str| format!("{path}&cursor={cursor}");
    assert_eq!(
        served.get(&at("/v1/events?type=tool.*&limit=7")).await.status,
        200,
        "another limit is no other question"
    );
    for path in
        ["/v1/events?limit=2", "/v1/events?type=tool.*&reverse=true", "/v1/sessions/a-1/events?type=tool.*"]
    {
        assert_eq!(served.get(&at(path)).await.problem(), "bad-cursor", "{path}");
    }
    let other = Served::open().await;
    filled(&other.store, 20);
    assert_eq!(other.get(&at("/v1/events?type=tool.*")).await.problem(), "bad-cursor");
}

#[tokio::test]
async fn parameters_that_are_not_understood_are_refused() {
    let served = Served::open().await;
    filled(&served.store, 3);
    for query in [
        "typ=a",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "from=-1",
        "from=1.5",
        "to=x",
        "reverse=maybe",
        "type=a..b",
        "except=%2A%2A%2A",
        "where=nonsense",
        "meta=x",
        "priority=256",
        "since=yesterday",
        "style=x",
        "follow=ws",
        "cursor=x",
        "limit=1&limit=2",
        "source=a&source=b",
        "cursor=%FF",
    ] {
        let answer = served.get(&format!("/v1/events?{query}")).await;
        assert_eq!((answer.status, answer.problem().is_empty()), (400, false), "{query}: {}", answer.text());
    }
    for path in [
        "/v1/sessions/none/events",
        "/v1/sessions/none/branches/main/events",
        "/v1/sessions/a-1/branches/x/events",
    ] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    for path in ["/v1/sessions/..%2Fa/events", "/v1/sessions/a%00/branches/main/events"] {
        assert_eq!(served.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn one_event_is_found_by_place_and_by_id() {
    let served = Served::start(&[("all", Scope::Read, ""), ("a", Scope::Read, "a-*")]).await;
    filled(&served.store, 6);
    let mine = served.store.read(&Query::branch("a-1").unwrap()).unwrap().events.remove(1);
    let theirs = served.store.read(&Query::branch("b-1").unwrap()).unwrap().events.remove(1);
    let get = |path: String| served.ask("GET", &path).token("a").send();
    let due = written(std::slice::from_ref(&mine)).remove(0);
    assert_eq!(get("/v1/sessions/a-1/branches/main/events/2".to_owned()).await.json(), due);
    assert_eq!(get(format!("/v1/events/{}", mine.id())).await.json(), due);
    let shown = get(format!("/v1/events/{}?style=cloudevents", mine.id())).await.json();
    assert_eq!(shown["specversion"], "1.0");
    for sequence in ["0", "3", "99999999999"] {
        assert_eq!(
            get(format!("/v1/sessions/a-1/branches/main/events/{sequence}")).await.status,
            404,
            "{sequence}"
        );
    }
    assert_eq!(get("/v1/sessions/a-1/branches/main/events/x".to_owned()).await.status, 400);
    // What may not be read is as if it were not there, to the letter.
    let unknown = retold::EventId::new().to_string();
    let (hidden, none) =
        (get(format!("/v1/events/{}", theirs.id())).await, get(format!("/v1/events/{unknown}")).await);
    assert_eq!((hidden.status, none.status), (404, 404));
    assert_eq!(hidden.text().replace(&theirs.id().to_string(), ""), none.text().replace(&unknown, ""));
    let whole = served.ask("GET", &format!("/v1/events/{}", theirs.id())).token("all").send().await;
    assert_eq!(whole.json(), written(&[theirs]).remove(0));
    assert_eq!(get("/v1/events/0190".to_owned()).await.status, 400, "too short to look for");
}

#[tokio::test]
async fn an_id_is_found_by_its_beginning_though_many_of_others_have_it() {
    let served = Served::start(&[("all", Scope::Read, ""), ("a", Scope::Read, "a-*")]).await;
    let id = |n: u64| {
        retold::EventId::from_uuid(retold::uuid::Uuid::from_u64_pair(0x0190_1234_0000_7000, (2 << 62) | n))
    };
    let theirs: Vec<NewEvent> = (0..500).map(|n| NewEvent::new("theirs").with_id(id(n))).collect();
    served.store.append("b-1", theirs).unwrap();
    served.store.append("a-1", NewEvent::new("mine").with_id(id(500))).unwrap();
    let find = |token: &'static str, text: &str| {
        served.ask("GET", &format!("/v1/events/{text}")).token(token).send()
    };
    assert_eq!(find("a", "01901234").await.json()["type"], "mine");
    assert_eq!(find("a", "01901235").await.status, 404);
    let many = find("all", "01901234").await;
    assert_eq!((many.status, many.problem()), (409, "ambiguous".to_owned()));
    // More than are looked at: whose they are is not said.
    for block in 0..17_u64 {
        let more: Vec<NewEvent> =
            (0..500).map(|n| NewEvent::new("theirs").with_id(id(1_000 + block * 500 + n))).collect();
        served.store.append("b-1", more).unwrap();
    }
    let too_many = find("a", "01901234").await;
    assert_eq!((too_many.status, too_many.problem()), (409, "ambiguous".to_owned()));
    served.store.append("a-1", NewEvent::new("last").with_id(id(1 << 40))).unwrap();
    assert_eq!(find("a", &id(1 << 40).to_string()).await.json()["type"], "last");
}
