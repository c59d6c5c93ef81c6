//! The store as a whole, timers, leases and types.

use serde_json::json;

use super::{did, each, filled, got};

#[tokio::test]
async fn a_timer_is_made_listed_and_cancelled_in_its_session() {
    let served = filled().await;
    let id = "0196f0e0-0000-7000-8000-000000000001";
    let timer = json!({ "session": "run-7", "event": { "type": "run.timed_out", "id": id }, "after": "10m" });
    assert_eq!(did(&served, "runs-read", "POST", "/v1/timers", timer.clone()).await.0, 403);
    assert_eq!(did(&served, "others", "POST", "/v1/timers", timer.clone()).await.0, 403);
    let (status, made) = did(&served, "runs-append", "POST", "/v1/timers", timer.clone()).await;
    assert_eq!((status, &made["id"], &made["clock"]), (201, &json!(id), &json!("after")));
    assert_eq!(
        did(&served, "runs-append", "POST", "/v1/timers", timer).await.0,
        200,
        "the same again changes nothing"
    );
    let other = json!({ "session": "other", "event": { "type": "x", "id": id }, "after": "5m" });
    let (status, problem) = did(&served, "others", "POST", "/v1/timers", other).await;
    assert_eq!(status, 409);
    assert!(!problem.to_string().contains("run-7"), "{problem}");
    let (_, mine) = got(&served, "runs-read", "/v1/timers").await;
    assert_eq!(each(&mine["timers"], "id"), [id]);
    let (_, none) = got(&served, "others", "/v1/timers").await;
    assert_eq!(none, json!({ "timers": [], "next": null }));
    let path = format!("/v1/timers/{id}");
    assert_eq!(got(&served, "others", &path).await.0, 404);
    assert_eq!(did(&served, "others", "DELETE", &path, json!({})).await.0, 404);
    assert_eq!(did(&served, "runs-read", "DELETE", &path, json!({})).await.0, 403);
    assert_eq!(did(&served, "runs-append", "DELETE", &path, json!({})).await.0, 200);
    assert_eq!(did(&served, "runs-append", "DELETE", &path, json!({})).await.0, 404);
    for bad in [
        json!({ "session": "run-7", "event": { "type": "x" } }),
        json!({ "session": "run-7", "event": { "type": "x" }, "after": "1s", "at": "2100-01-01T00:00:00Z" }),
        json!({ "session": "run-7", "event": { "typ": "x" }, "after": "1s" }),
        json!({ "session": "run-7", "event": { "type": "x" }, "at": "2000-01-01T00:00:00Z" }),
    ] {
        assert_eq!(did(&served, "runs-append", "POST", "/v1/timers", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_lease_is_one_holders_and_its_token_for_those_who_append() {
    let served = filled().await;
    let path = "/v1/leases/run-7";
    assert_eq!(got(&served, "runs-read", path).await.0, 404);
    assert_eq!(did(&served, "runs-read", "POST", path, json!({ "holder": "w" })).await.0, 403);
    let (status, lease) =
        did(&served, "runs-append", "POST", path, json!({ "holder": "w-1", "for": "60s" })).await;
    assert_eq!((status, &lease["token"]), (201, &json!("run-7@1/w-1")));
    let (status, held) = did(&served, "runs-append", "POST", path, json!({ "holder": "w-2" })).await;
    assert_eq!(
        (status, &held["type"], &held["holder"]),
        (409, &json!("urn:retold:problem:lease-held"), &json!("w-1"))
    );
    let (_, list) = got(&served, "runs-read", "/v1/leases").await;
    assert_eq!((each(&list["leases"], "holder"), list["leases"][0].get("token")), (vec!["w-1"], None));
    assert!(got(&served, "runs-append", path).await.1["token"].is_string());
    assert_eq!(got(&served, "others", "/v1/leases").await.1, json!({ "leases": [], "next": null }));
    let renew = format!("{path}/renew");
    assert_eq!(
        did(&served, "runs-append", "POST", &renew, json!({ "token": "run-7@1/w-1", "for": "90s" })).await.0,
        200
    );
    assert_eq!(did(&served, "runs-append", "POST", &renew, json!({ "token": "other@1/w-1" })).await.0, 400);
    assert_eq!(did(&served, "runs-append", "POST", &renew, json!({ "token": "run-7@7/w-1" })).await.0, 409);
    assert_eq!(did(&served, "runs-append", "POST", path, json!({ "holder": "", "for": "1s" })).await.0, 400);
    assert_eq!(
        did(&served, "runs-append", "POST", path, json!({ "holder": "w-1", "for": "0" })).await.0,
        400
    );
    let release = format!("{path}/release");
    assert_eq!(did(&served, "runs-append", "POST", &release, json!({ "token": "run-7@1/w-1" })).await.0, 200);
    assert_eq!(got(&served, "runs-read", path).await.0, 404);
}

#[tokio::test]
async fn types_are_listed_explained_and_payloads_validated() {
    let served = filled().await;
    let (status, first) = got(&served, "runs-read", "/v1/types?limit=2").await;
    assert_eq!((status, each(&first["types"], "name").len()), (200, 2));
    let after = first["next"].as_str().unwrap();
    let (_, second) = got(&served, "runs-read", &format!("/v1/types?limit=2&after={after}")).await;
    assert_ne!(first["types"], second["types"]);
    let (_, tools) = got(&served, "runs-read", "/v1/types?domain=tool").await;
    assert!(each(&tools["types"], "domain").iter().all(|domain| *domain == "tool"));
    let (_, coverage) = got(&served, "reads", "/v1/types?coverage=true&domain=run").await;
    let started = coverage["types"].as_array().unwrap().iter().find(|t| t["name"] == "run.started").unwrap();
    // Of main alone: a fork inherits it.
    assert_eq!(started["events"], 1);
    assert_eq!(got(&served, "runs-read", "/v1/types?coverage=true").await.0, 403);
    for none in ["?domain=none", "?after=none", "/none.such", "/none.such/schema"] {
        assert_eq!(got(&served, "reads", &format!("/v1/types{none}")).await.0, 404, "{none}");
    }
    let (_, shown) = got(&served, "reads", "/v1/types/TOOL_INVOKED").await;
    assert_eq!(shown["name"], "tool.invoked");
    let (_, schema) = got(&served, "reads", "/v1/types/tool.invoked/schema").await;
    assert_eq!(schema, shown["schema"]);
    let validate = "/v1/types/tool.invoked/validate";
    let (_, fits) = did(&served, "reads", "POST", validate, shown["example"].clone()).await;
    assert_eq!(fits, json!({ "valid": true }));
    let (status, not) = did(&served, "reads", "POST", validate, json!([1])).await;
    assert_eq!((status, &not["valid"]), (200, &json!(false)));
    assert!(!not["reason"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_for_some_sessions_learns_no_paths_and_no_counts() {
    let served = filled().await;
    let (_, whole) = got(&served, "reads", "/v1/info").await;
    assert_eq!((&whole["store"]["sessions"], &whole["token"]["scope"]), (&json!(3), &json!("read")));
    let (_, mine) = got(&served, "runs-read", "/v1/info").await;
    let known: Vec<&str> = mine["store"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((known, &mine["token"]["sessions"]), (vec!["created", "id"], &json!("run-*")));
}

#[tokio::test]
async fn retention_deletes_what_is_over_a_limit_once_it_is_meant() {
    let served = filled().await;
    let path = "/v1/retention";
    assert_eq!(did(&served, "runs", "POST", path, json!({ "max_sessions": 1 })).await.0, 403);
    for bad in [
        json!({}),
        json!({ "max_sessions": 0 }),
        json!({ "max_bytes": 0 }),
        json!({ "max_events": 0, "max_sessions": 1 }),
        json!({ "max_age": "0" }),
        json!({ "max_age": "0s", "max_bytes": 1 }),
        json!({ "max_age": "" }),
        json!({ "max_age": "soon" }),
        json!({ "sessions": "run-*" }),
    ] {
        assert_eq!(did(&served, "all", "POST", path, bad.clone()).await.0, 400, "{bad}");
    }
    let policy = |dry_run| json!({ "sessions": "run-*", "max_sessions": 1, "dry_run": dry_run });
    let (status, would) = did(&served, "all", "POST", path, policy(true)).await;
    assert_eq!((status, each(&would["sessions"], "session")), (200, vec!["run-7"]));
    assert_eq!(got(&served, "all", "/v1/sessions/run-7").await.0, 200);
    did(&served, "all", "POST", path, policy(false)).await;
    assert_eq!(got(&served, "all", "/v1/sessions/run-7").await.0, 404);
    assert_eq!(got(&served, "all", "/v1/sessions/run-8").await.0, 200);
}

/// Their bodies are short, by which they are known here.
#[tokio::test]
async fn what_removes_or_copies_much_is_not_ended_by_the_time_of_a_request() {
    let served = filled().await;
    let long = "x".repeat(64 * 1024 + 1);
    let branch = "/v1/sessions/run-7/branches/retry";
    for (method, path, status) in [
        ("POST", "/v1/backup", 413),
        ("POST", "/v1/retention", 413),
        ("DELETE", "/v1/sessions/run-7", 413),
        ("DELETE", branch, 413),
        ("POST", &format!("{branch}/truncate"), 413),
        ("POST", &format!("{branch}/promote"), 413),
        ("DELETE", "/v1/dead-letters/mailer", 413),
        ("POST", "/v1/dead-letters/mailer/replay", 413),
        ("POST", &format!("{branch}/close"), 400),
        ("POST", "/v1/leases/run-7", 400),
    ] {
        let answer =
            served.ask(method, path).token("all").body("application/json", long.clone()).send().await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    assert_eq!(served.store.head("run-7").unwrap().get(), 3);
}

#[tokio::test]
async fn backups_are_made_into_the_folder_of_the_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = retold::Store::open(folder.path().join("runs.redb")).unwrap();
    let config = retold_server::Config::new(crate::harness::tokens_of(&super::TOKENS));
    let served = crate::harness::Served::with(store, config).await;
    super::fill(&served.store);
    let (status, problem) = did(&served, "all", "POST", "/v1/backup", json!({ "name": "a.redb" })).await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:retold:problem:forbidden")));
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    served.app.allow_backups(backups.clone());
    assert_eq!(did(&served, "reads", "POST", "/v1/backup", json!({ "name": "a.redb" })).await.0, 403);
    assert_eq!(did(&served, "runs", "POST", "/v1/backup", json!({ "name": "a.redb" })).await.0, 403);
    assert_eq!(did(&served, "all", "POST", "/v1/backup", json!({ "name": "../a.redb" })).await.0, 400);
    let (status, made) = did(&served, "all", "POST", "/v1/backup", json!({ "name": "a.redb" })).await;
    assert_eq!((status, &made["name"], &made["position"]), (201, &json!("a.redb"), &json!(7)));
    assert!(!made.to_string().contains("backups"), "{made}");
    // Neither what is there nor what is not says where the folder is.
    std::fs::write(backups.join("no-backup.redb"), "text").unwrap();
    for (body, status) in [
        (json!({ "name": "a.redb" }), 409),
        (json!({ "name": "b.redb", "since": "none.redb" }), 404),
        (json!({ "name": "b.redb", "since": "no-backup.redb" }), 400),
    ] {
        let (told, problem) = did(&served, "all", "POST", "/v1/backup", body.clone()).await;
        assert_eq!(told, status, "{body}: {problem}");
        assert!(!problem.to_string().contains(folder.path().to_str().unwrap()), "{problem}");
    }
    let (status, since) =
        did(&served, "all", "POST", "/v1/backup", json!({ "name": "b.redb", "since": "a.redb" })).await;
    assert_eq!((status, &since["name"]), (201, &json!("b.redb")));
    let copy = retold::Store::builder().read_only().open(backups.join("a.redb")).unwrap();
    assert_eq!(copy.committed().get(), 7);
    drop(copy);
    served.stop().await.close().unwrap();
}
