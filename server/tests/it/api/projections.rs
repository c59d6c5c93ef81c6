//! Projections: states, their history, lists of them, and rebuilds.

use serde_json::json;

use super::{did, each, filled, got};

#[tokio::test]
async fn a_state_is_read_as_of_a_sequence_or_a_time() {
    let served = filled().await;
    let path = "/v1/projections/counts";
    let (status, now) = got(&served, "runs-read", &format!("{path}?session=run-7")).await;
    assert_eq!(
        (status, &now["projection"], &now["of"], &now["at"]),
        (200, &json!("counts"), &json!("run-7/main"), &json!(3))
    );
    let (_, before) = got(&served, "runs-read", &format!("{path}?session=run-7&sequence=1")).await;
    assert_eq!(before["state"]["events"], 1);
    let (_, branch) = got(&served, "runs-read", &format!("{path}?session=run-7&branch=retry")).await;
    assert_eq!(branch["of"], "run-7/retry");
    let (_, later) =
        got(&served, "runs-read", &format!("{path}?session=run-7&time=2100-01-01T00:00:00Z")).await;
    assert_eq!(later["state"], now["state"]);
    let (_, later) =
        got(&served, "runs-read", &format!("{path}?session=run-7&time=2100-01-01T00:00:00Z&recorded=true"))
            .await;
    assert_eq!(later["state"], now["state"]);
    for (query, status) in [
        ("session=run-7&time=1990-01-01T00:00:00Z", 404),
        ("session=run-7&sequence=99", 404),
        ("session=run-9", 404),
        ("session=other", 403),
        ("key=x", 403),
        ("branch=main", 400),
        ("session=run-7&time=soon", 400),
        ("session=run-7&recorded=true", 400),
        ("session=run-7&time=2100-01-01T00:00:00Z&sequence=1", 400),
    ] {
        assert_eq!(got(&served, "runs-read", &format!("{path}?{query}")).await.0, status, "{query}");
    }
    assert_eq!(got(&served, "all", &format!("{path}?key=x")).await.0, 400, "it has no keys");
    assert_eq!(got(&served, "all", "/v1/projections/none?session=run-7").await.0, 404);
}

#[tokio::test]
async fn a_history_has_pages() {
    let served = filled().await;
    let path = "/v1/projections/counts/history?session=run-7";
    let (status, first) = got(&served, "runs-read", &format!("{path}&limit=2")).await;
    assert_eq!((status, first["changes"].as_array().unwrap().len()), (200, 2));
    let after = first["next"].as_u64().unwrap();
    let (_, rest) = got(&served, "runs-read", &format!("{path}&limit=2&after={after}")).await;
    assert_eq!((rest["changes"][0]["sequence"].as_u64(), &rest["next"]), (Some(3), &json!(null)));
    assert_eq!(got(&served, "runs-read", "/v1/projections/counts/history").await.0, 400);
    assert_eq!(got(&served, "runs-read", "/v1/projections/counts/history?session=other").await.0, 403);
}

#[tokio::test]
async fn states_are_listed_for_those_who_may_read_them() {
    let served = filled().await;
    let (status, first) = got(&served, "all", "/v1/projections/counts/list?limit=2").await;
    assert_eq!((status, each(&first["states"], "of")), (200, vec!["other/main", "run-7/main"]));
    let (_, mine) = got(&served, "runs-read", "/v1/projections/counts/list").await;
    assert_eq!(
        (each(&mine["states"], "of"), &mine["next"]),
        (vec!["run-7/main", "run-7/retry", "run-8/main"], &json!(null))
    );
    let (_, rest) = got(&served, "runs-read", "/v1/projections/counts/list?limit=1&after=run-7/main").await;
    assert_eq!((each(&rest["states"], "of"), &rest["next"]), (vec!["run-7/retry"], &json!("run-7/retry")));
}

/// An event of a session that nobody folds for a token that may not read it.
#[tokio::test]
async fn what_cannot_be_folded_in_other_sessions_is_not_told_and_stops_no_list() {
    let served = filled().await;
    let page = "/v1/projections/counts/list?limit=2";
    let (_, before) = got(&served, "runs-read", page).await;
    for n in 0..40 {
        served.store.append(format!("other-{n}").as_str(), retold::NewEvent::new("step.done")).unwrap();
    }
    served.store.lifecycle().delete("other").unwrap();
    let (status, after) = got(&served, "runs-read", page).await;
    assert_eq!((status, &after), (200, &before));
    assert_eq!(after["next"], "run-7/retry");
    assert_eq!(got(&served, "runs-read", "/v1/projections/counts/list?after=a%2Fb%2Fc").await.0, 400);
}

#[tokio::test]
async fn a_projection_that_raises_events_is_not_started_by_a_look() {
    let served = filled().await;
    let (status, problem) = got(&served, "all", "/v1/projections/alerts?session=run-7").await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:retold:problem:not-running")));
    let (_, about) = got(&served, "all", "/v1/projections/alerts").await;
    assert_eq!((&about["name"], &about["running"]), (&json!("alerts"), &json!(false)));
    assert_eq!(did(&served, "all", "POST", "/v1/projections/alerts/rebuild", json!({})).await.0, 202);
    assert_eq!(got(&served, "all", "/v1/projections/alerts?session=run-7").await.0, 200);
}

#[tokio::test]
async fn a_rebuild_is_begun_by_those_who_may_all_and_can_be_looked_at() {
    let served = filled().await;
    let path = "/v1/projections/lifecycle/rebuild";
    for token in ["reads", "runs", "runs-append"] {
        assert_eq!(did(&served, token, "POST", path, json!({})).await.0, 403, "{token}");
    }
    let begun = served.ask("POST", path).token("all").send().await;
    assert_eq!((begun.status, begun.header("location")), (202, Some(path)), "{}", begun.text());
    assert!(begun.json()["rebuild"]["total"].is_u64());
    assert_eq!(got(&served, "reads", path).await.0, 200);
    assert_eq!(got(&served, "all", "/v1/projections/none/rebuild").await.0, 404);
    assert_eq!(did(&served, "all", "POST", "/v1/projections/none/rebuild", json!({})).await.0, 404);
    let (status, retried) = did(&served, "all", "POST", "/v1/projections/lifecycle/retry", json!({})).await;
    assert_eq!((status, retried), (200, json!({ "projection": "lifecycle", "mended": 0, "parked": 0 })));
    assert_eq!(
        did(&served, "all", "POST", "/v1/projections/lifecycle/retry", json!({ "key": "x" })).await.0,
        404
    );
}

#[tokio::test]
async fn positions_are_told_to_tokens_for_all_sessions() {
    let served = filled().await;
    let (_, all) = got(&served, "reads", "/v1/projections?limit=3").await;
    assert!(all["projections"][0]["lag"].is_u64() && all["next"].is_string(), "{all}");
    let (_, mine) = got(&served, "runs-read", "/v1/projections").await;
    assert!(each(&mine["projections"], "name").contains(&"lifecycle"));
    for projection in mine["projections"].as_array().unwrap() {
        assert!(projection.get("lag").is_none() && projection.get("position").is_none(), "{projection}");
    }
}
