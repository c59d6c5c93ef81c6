//! Live streams for tokens of some sessions: nothing is lost, and nothing is told of the rest.

use std::collections::HashSet;

use retold::Store;
use retold_server::{Config, Scope};

use crate::harness::{Served, tokens_of};
use crate::live::{numbered, until_caught_up};

#[tokio::test]
async fn a_narrow_token_sees_nothing_of_the_rest() {
    let served = Served::start(&[("a", Scope::Read, "a-*")]).await;
    for n in 0..20 {
        served.store.append(["a-1", "b-1"][n % 2], numbered(n as u64)).unwrap();
    }
    let mut sse = served.ask("GET", "/v1/events").token("a").sse().await;
    let mut frames = Vec::new();
    loop {
        let frame = sse.next().await.unwrap();
        if frame.event == "caught-up" {
            break;
        }
        frames.push(frame);
    }
    served.store.append("b-1", numbered(100)).unwrap();
    served.store.lifecycle().delete("b-1").unwrap();
    served.store.append("a-1", numbered(101)).unwrap();
    let next = sse.next().await.unwrap();
    assert_eq!(next.json()["data"]["n"], 101, "{next:?}");
    frames.push(next);
    assert!(frames.iter().all(|frame| frame.event == "event" && frame.json()["session"] == "a-1"));
    assert_eq!(frames.len(), 11);
    assert_eq!(served.ask("GET", "/v1/sessions/b-1/events?follow=sse").token("a").send().await.status, 403);
    // To ask beyond the end is not answered with where it is.
    let mut beyond = served.ask("GET", "/v1/sessions/a-1/events?from=999999").token("a").sse().await;
    assert_eq!(beyond.frame().await.unwrap().retry, Some(1000));
}

#[tokio::test]
async fn a_narrow_token_goes_on_where_it_caught_up() {
    let served = Served::start(&[("a", Scope::Read, "a-*")]).await;
    served.store.append("a-1", numbered(0)).unwrap();
    for path in ["/v1/events?from=end", "/v1/sessions/a-1/events?from=end"] {
        served.store.append("b-1", numbered(1)).unwrap();
        let mut sse = served.ask("GET", path).token("a").sse().await;
        let caught_up = sse.next().await.unwrap();
        assert_eq!(caught_up.event, "caught-up");
        drop(sse);
        served.store.append("a-1", (2..5).map(numbered).collect::<Vec<_>>()).unwrap();
        served.store.append("b-1", numbered(5)).unwrap();
        let again = served.ask("GET", path).token("a").header("last-event-id", &caught_up.id.unwrap());
        let mut again = again.sse().await;
        let told = until_caught_up(&mut again).await;
        let numbers: Vec<u64> =
            told.iter().map(|frame| frame.json()["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [2, 3, 4], "{path}");
    }
}

#[tokio::test]
async fn cursors_of_a_narrow_token_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("runs.redb")).unwrap();
    let config = Config::new(tokens_of(&[("a", Scope::Read, "a-*")]));
    let served = Served::with(store, config).await;
    for n in 0..4 {
        served.store.append(["a-1", "b-1"][n as usize % 2], numbered(n)).unwrap();
    }
    let mut sse = served.ask("GET", "/v1/events").token("a").sse().await;
    until_caught_up(&mut sse).await;
    let mut sse = served.ask("GET", "/v1/events?from=end").token("a").sse().await;
    let id = sse.next().await.unwrap().id.unwrap();
    let page = served.ask("GET", "/v1/events?limit=1").token("a").send().await.json();
    let served = served.restart().await;
    served.store.append("a-1", numbered(4)).unwrap();
    let again = served.ask("GET", "/v1/events").token("a").header("last-event-id", &id);
    assert_eq!(again.sse().await.next().await.unwrap().json()["data"]["n"], 4);
    let next = format!("/v1/events?limit=1&cursor={}", page["next"].as_str().unwrap());
    let next = served.ask("GET", &next).token("a").send().await;
    assert_eq!(next.json()["events"][0]["data"]["n"], 2, "{}", next.text());
}

#[tokio::test]
async fn a_narrow_token_is_told_of_no_gap() {
    let served = Served::start(&[("a", Scope::Read, "a-*"), ("all", Scope::Read, "")]).await;
    served.store.append("a-1", numbered(1)).unwrap();
    served.store.append("b-1", (2..6).map(numbered).collect::<Vec<_>>()).unwrap();
    served.store.append("a-1", numbered(6)).unwrap();
    let mut ids = Vec::new();
    for token in ["a", "all"] {
        let first = served.ask("GET", "/v1/events").token(token).sse().await.next().await.unwrap();
        ids.push(first.id.unwrap());
    }
    served.store.lifecycle().delete("b-1").unwrap();
    for (token, id, due) in [("a", &ids[0], &["event"][..]), ("all", &ids[1], &["gap", "event"])] {
        let mut again = served.ask("GET", "/v1/events").token(token).header("last-event-id", id).sse().await;
        let names: Vec<String> =
            until_caught_up(&mut again).await.into_iter().map(|frame| frame.event).collect();
        assert_eq!(names, due, "{token}");
    }
}

#[tokio::test]
async fn a_narrow_token_makes_no_cursors_of_its_own() {
    let served =
        Served::start(&[("a", Scope::Read, "a-*"), ("b", Scope::Read, "b-*"), ("all", Scope::Read, "")])
            .await;
    for n in 1..10 {
        served.store.append(if n % 2 == 0 { "a-1" } else { "b-1" }, numbered(n)).unwrap();
    }
    served.store.append("b-1", numbered(10)).unwrap();
    let ids = async |token: &str, path: &str| {
        let mut sse = served.ask("GET", path).token(token).sse().await;
        let mut ids = Vec::new();
        loop {
            let frame = sse.next().await.unwrap();
            ids.push(frame.id.unwrap());
            if frame.event == "caught-up" {
                return ids;
            }
        }
    };
    let refused = async |token: &str, path: &str, cursor: &str| {
        let answer =
            served.ask("GET", &format!("{path}?follow=sse&cursor={cursor}")).token(token).send().await;
        assert_eq!((answer.status, answer.problem()), (400, "bad-cursor".to_owned()), "{cursor}");
        answer.text().to_owned()
    };
    for path in ["/v1/events", "/v1/sessions/a-1/events"] {
        // One that everything may be read with says more than a narrow token may ask: which event is where.
        let mut why = HashSet::new();
        for wide in ids("all", path).await {
            why.insert(refused("a", path, &wide).await);
            why.insert(refused("a", path, wide.split('.').next().unwrap()).await);
        }
        let mine = ids("a", path).await;
        for id in &mine {
            let changed =
                id.strip_prefix('A').map_or_else(|| format!("A{}", &id[1..]), |rest| format!("B{rest}"));
            why.insert(refused("a", path, &changed).await);
            why.insert(refused("a", path, &id[..id.len() - 4]).await);
            assert!(id.parse::<retold::Cursor>().is_err());
        }
        assert_eq!(why.len(), 1, "{why:?}");
        let lengths: HashSet<usize> = mine.iter().map(String::len).collect();
        assert_eq!(lengths.len(), 1, "{mine:?}");
    }
    let mine = ids("a", "/v1/events").await;
    refused("b", "/v1/events", &mine[0]).await;
    refused("a", "/v1/sessions/a-1/events", &mine[0]).await;
    // The same place does not look the same: whether others append is not to be seen.
    assert_ne!(mine, ids("a", "/v1/events").await);
}
