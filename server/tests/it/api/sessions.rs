//! Sessions and branches: lists, cards, forks, and what is done to them.

use retold::NewEvent;
use serde_json::json;

use super::{did, each, filled, got};

#[tokio::test]
async fn a_list_has_pages_an_order_and_filters() {
    let served = filled().await;
    let (status, all) = got(&served, "all", "/v1/sessions?sort=name").await;
    assert_eq!(status, 200);
    assert_eq!(each(&all["sessions"], "session"), ["other", "run-7", "run-8"]);
    assert!(all["next"].is_null());
    let (_, first) = got(&served, "all", "/v1/sessions?limit=2").await;
    // Those in which something happened last come first.
    assert_eq!(each(&first["sessions"], "session"), ["other", "run-8"]);
    let (_, second) =
        got(&served, "all", &format!("/v1/sessions?limit=2&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(each(&second["sessions"], "session"), ["run-7"]);
    assert!(second["next"].is_null());
    for (query, found) in [
        ("status=running&sort=name", vec!["other", "run-7", "run-8"]),
        ("status=completed&status=none", vec![]),
        ("source=sketch", vec!["run-8"]),
        ("title=draw*", vec!["run-8"]),
        ("title=nothing*", vec![]),
        ("sort=events&reverse=true&limit=1", vec!["run-8"]),
        ("sort=name&reverse=true", vec!["run-8", "run-7", "other"]),
        ("since=1h&sort=name", vec!["other", "run-7", "run-8"]),
        ("label=team", vec![]),
    ] {
        let (status, page) = got(&served, "all", &format!("/v1/sessions?{query}")).await;
        assert_eq!((status, each(&page["sessions"], "session")), (200, found), "{query}");
    }
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "status=nonsense",
        "sort=size",
        "colour=red",
        "since=soon",
        "label==x",
        "after=a/b",
    ] {
        let (status, problem) = got(&served, "all", &format!("/v1/sessions?{bad}")).await;
        assert_eq!(status, 400, "{bad}: {problem}");
    }
}

/// The session at the end of a page says where the next one begins.
#[tokio::test]
async fn pages_go_on_where_they_were_when_the_last_session_moves_or_goes() {
    let served = filled().await;
    let (_, first) = got(&served, "all", "/v1/sessions?limit=1").await;
    assert_eq!(each(&first["sessions"], "session"), ["other"]);
    let next = first["next"].as_str().unwrap().to_owned();
    served.store.append("other", NewEvent::new("step.done")).unwrap();
    let (_, second) = got(&served, "all", &format!("/v1/sessions?limit=1&after={next}")).await;
    assert_eq!(each(&second["sessions"], "session"), ["run-8"]);
    let next = second["next"].as_str().unwrap();
    served.store.lifecycle().delete_session(&"run-8".parse().unwrap()).unwrap();
    let (status, third) = got(&served, "all", &format!("/v1/sessions?limit=1&after={next}")).await;
    assert_eq!(
        (status, each(&third["sessions"], "session"), &third["next"]),
        (200, vec!["run-7"], &json!(null))
    );
    let (status, problem) = got(&served, "all", &format!("/v1/sessions?sort=tokens&after={next}")).await;
    assert_eq!(status, 400, "{problem}");
    // The name of a session is a place too, and one that is not there is none.
    let (_, named) = got(&served, "all", "/v1/sessions?after=other").await;
    assert_eq!(each(&named["sessions"], "session"), ["run-7"]);
    assert_eq!(got(&served, "all", "/v1/sessions?after=run-8").await.0, 404);
}

#[tokio::test]
async fn a_token_for_some_sessions_is_told_of_no_others() {
    let served = filled().await;
    let (_, mine) = got(&served, "runs-read", "/v1/sessions?sort=name&limit=1").await;
    assert_eq!((each(&mine["sessions"], "session"), &mine["next"]), (vec!["run-7"], &json!("run-7")));
    let (_, rest) = got(&served, "runs-read", "/v1/sessions?sort=name&after=run-7").await;
    assert_eq!((each(&rest["sessions"], "session"), &rest["next"]), (vec!["run-8"], &json!(null)));
    // One that is there and one that is not are refused alike.
    for path in ["", "/branches", "/branches/main", "/show", "/timeline", "/stats", "/labels", "/notes"] {
        let (status, there) = got(&served, "runs-read", &format!("/v1/sessions/other{path}")).await;
        let (_, nowhere) = got(&served, "runs-read", &format!("/v1/sessions/nowhere{path}")).await;
        assert_eq!((status, there), (403, nowhere), "{path}");
    }
    // A place in the list that is another's is no place, as one that is not there.
    let (status, problem) = got(&served, "runs-read", "/v1/sessions?after=other").await;
    let (_, nowhere) = got(&served, "runs-read", "/v1/sessions?after=nowher").await;
    assert_eq!(status, 404);
    assert_eq!(
        problem["detail"].as_str().unwrap().replace("other", "nowher"),
        nowhere["detail"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_fork_is_made_once_and_is_where_its_location_says() {
    let served = filled().await;
    let path = "/v1/sessions/run-7/branches";
    let fork = json!({ "name": "a b", "from": { "branch": "main", "sequence": 2 } });
    let answer = served.ask("POST", path).token("runs-append").json(&fork).send().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let location = answer.header("location").unwrap().to_owned();
    assert_eq!(location, "/v1/sessions/run-7/branches/a%20b");
    let (status, branch) = got(&served, "runs-read", &location).await;
    assert_eq!((status, &branch["forked_at"], &branch["head"]), (200, &json!(2), &json!(2)));
    assert_eq!(branch["ancestry"][0], json!({ "branch": "main", "first": 1 }));
    assert_eq!(did(&served, "runs-append", "POST", path, fork).await.0, 409);
    let (_, page) = got(&served, "runs-read", &format!("{path}?limit=2")).await;
    assert_eq!((each(&page["branches"], "branch"), &page["next"]), (vec!["a b", "main"], &json!("main")));
    let (_, page) = got(&served, "runs-read", &format!("{path}?after=main")).await;
    assert_eq!((each(&page["branches"], "branch"), &page["next"]), (vec!["retry"], &json!(null)));
    for (body, status) in [
        (json!({ "name": "x", "from": { "sequence": 99 } }), 404),
        (json!({ "name": "x", "from": { "branch": "none" } }), 404),
        (json!({ "name": "a/b" }), 400),
        (json!({ "name": "x", "form": {} }), 400),
        (json!({}), 400),
        (json!([]), 400),
    ] {
        let (got, problem) = did(&served, "runs-append", "POST", path, body.clone()).await;
        assert_eq!(got, status, "{body}: {problem}");
    }
    assert_eq!(did(&served, "runs-read", "POST", path, json!({ "name": "y" })).await.0, 403);
    let typed = served.ask("POST", path).token("runs").body("text/plain", "{}").send().await;
    assert_eq!((typed.status, typed.problem().as_str()), (415, "unsupported-type"));
}

#[tokio::test]
async fn a_branch_is_closed_truncated_and_deleted_by_those_who_may() {
    let served = filled().await;
    let path = |verb: &str| format!("/v1/sessions/run-7/branches/retry/{verb}");
    for verb in ["close", "truncate", "expire"] {
        let body = if verb == "truncate" { json!({ "before": 2 }) } else { json!({}) };
        assert_eq!(did(&served, "runs-append", "POST", &path(verb), body).await.0, 403, "{verb}");
    }
    let (status, branch) = did(&served, "runs", "POST", &path("expire"), json!({ "unused": "30d" })).await;
    assert_eq!((status, &branch["unused_ms"]), (200, &json!(30_u64 * 24 * 3_600_000)));
    let (_, branch) = did(&served, "runs", "POST", &path("expire"), json!({ "never": true })).await;
    assert!(branch["expires"].is_null());
    assert_eq!(
        did(&served, "runs", "POST", &path("expire"), json!({ "never": true, "at": "1h" })).await.0,
        400
    );
    let (status, closed) = did(&served, "runs", "POST", &path("close"), json!({})).await;
    assert_eq!(status, 200);
    let again = served.ask("POST", &path("close")).token("runs").send().await;
    assert_eq!((again.status, &again.json()["closed"]), (200, &closed["closed"]));
    let (status, would) = did(
        &served,
        "runs",
        "POST",
        "/v1/sessions/run-7/branches/main/truncate",
        json!({ "before": 3, "dry_run": true }),
    )
    .await;
    assert_eq!((status, &would["would_remove"]), (200, &json!("run-7/main")));
    assert_eq!(served.store.branch("run-7").unwrap().first.get(), 1);
    let (_, cut) =
        did(&served, "runs", "POST", "/v1/sessions/run-7/branches/main/truncate", json!({ "before": 3 }))
            .await;
    assert_eq!(cut["first"], 3);
    let main = "/v1/sessions/run-7/branches/retry";
    let (_, would) = did(&served, "runs", "DELETE", &format!("{main}?dry_run=true"), json!({})).await;
    assert_eq!(would["branches"], 1);
    assert_eq!(did(&served, "runs", "DELETE", main, json!({})).await.0, 200);
    assert!([404, 410].contains(&did(&served, "runs", "DELETE", main, json!({})).await.0));
    let (status, gone) = did(&served, "runs", "DELETE", "/v1/sessions/run-7", json!({})).await;
    assert_eq!((status, &gone["deleted"]), (200, &json!("run-7")));
    assert_eq!(did(&served, "runs", "DELETE", "/v1/sessions/run-7", json!({})).await.0, 404);
    assert_eq!(got(&served, "runs", "/v1/sessions/run-7").await.0, 404);
    assert_eq!(served.store.head("other").unwrap().get(), 2);
}

#[tokio::test]
async fn a_branch_is_adopted_and_promoted_only_onto_a_parent_that_has_not_moved() {
    let served = filled().await;
    let path = |verb: &str| format!("/v1/sessions/run-7/branches/retry/{verb}");
    let (status, problem) = did(&served, "runs-append", "POST", &path("promote"), json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:retold:problem:conflict")));
    assert_eq!(did(&served, "runs-read", "POST", &path("adopt"), json!({})).await.0, 403);
    let (status, adopted) = did(&served, "runs-append", "POST", &path("adopt"), json!({})).await;
    assert_eq!((status, &adopted["current"]), (200, &json!(true)));
    let (_, card) = got(&served, "runs-read", "/v1/sessions/run-7").await;
    assert_eq!(card["current"], "retry");
    served.store.fork("run-8", "next").unwrap();
    served.store.append("run-8/next", NewEvent::new("step.done")).unwrap();
    let (status, moved) =
        did(&served, "runs-append", "POST", "/v1/sessions/run-8/branches/next/promote", json!({})).await;
    assert_eq!(
        (status, &moved["branch"], &moved["last"], &moved["duplicate"]),
        (200, &json!("main"), &json!(2), &json!(false))
    );
    let (_, again) =
        did(&served, "runs-append", "POST", "/v1/sessions/run-8/branches/next/promote", json!({})).await;
    assert_eq!(again["duplicate"], true);
}

#[tokio::test]
async fn labels_and_notes_are_set_listed_and_found() {
    let served = filled().await;
    let path = "/v1/sessions/run-7/labels";
    let set = json!({ "set": { "team": "search", "prio": "high" }, "actor": "mara" });
    assert_eq!(did(&served, "runs-read", "POST", path, set.clone()).await.0, 403);
    let (status, labels) = did(&served, "runs-append", "POST", path, set).await;
    assert_eq!((status, each(&labels["labels"], "key")), (200, vec!["prio", "team"]));
    assert_eq!(labels["labels"][1]["value"], "search");
    let (_, labels) = did(&served, "runs-append", "POST", path, json!({ "remove": ["prio"] })).await;
    assert_eq!(each(&labels["labels"], "key"), ["team"]);
    assert_eq!(did(&served, "runs-append", "POST", path, json!({ "remove": ["prio"] })).await.0, 404);
    assert_eq!(
        did(&served, "runs-append", "POST", path, json!({ "set": { "a": "b" }, "remove": ["a"] })).await.0,
        400
    );
    let (_, found) = got(&served, "all", "/v1/sessions?label=team=search").await;
    assert_eq!(each(&found["sessions"], "session"), ["run-7"]);
    let notes = "/v1/sessions/run-7/notes";
    assert_eq!(
        did(&served, "runs-append", "POST", notes, json!({ "text": "it is normalize()" })).await.0,
        201
    );
    assert_eq!(did(&served, "runs-append", "POST", notes, json!({ "text": "" })).await.0, 400);
    let (_, noted) = got(&served, "runs-read", notes).await;
    assert_eq!((&noted["noted"], &noted["notes"][0]["text"]), (&json!(1), &json!("it is normalize()")));
}
