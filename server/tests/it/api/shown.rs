//! What is shown of a branch: messages, timeline, description, figures, and its difference from another.

use retold::NewEvent;
use serde_json::json;

use super::{each, filled, got};

#[tokio::test]
async fn a_page_ends_also_when_hardly_anybody_speaks() {
    let served = filled().await;
    for _ in 0..11 {
        let silent: Vec<NewEvent> = (0..1_000).map(|_| NewEvent::new("step.done")).collect();
        served.store.append("run-8", silent).unwrap();
    }
    let said = NewEvent::new("message.assistant").data(json!({ "text": "at last" }));
    served.store.append("run-8", said).unwrap();
    let path = "/v1/sessions/run-8/show?speaker=assistant";
    let (status, first) = got(&served, "runs-read", path).await;
    assert_eq!((status, &first["entries"], &first["next"]), (200, &json!([]), &json!(10_001)));
    let (_, second) = got(&served, "runs-read", &format!("{path}&from={}", first["next"])).await;
    assert_eq!((second["entries"].as_array().unwrap().len(), &second["next"]), (1, &json!(null)));
}

#[tokio::test]
async fn a_page_of_a_comparison_begins_where_it_is_asked_to() {
    let served = filled().await;
    let more = |n: usize| (0..n).map(|_| NewEvent::new("step.done")).collect::<Vec<_>>();
    served.store.append("run-7", more(5)).unwrap();
    served.store.append("run-7/retry", more(3)).unwrap();
    let path = "/v1/diff?left=run-7/main&right=run-7/retry&limit=2";
    let (mut seen, mut from) = (Vec::new(), String::new());
    loop {
        let (status, page) = got(&served, "runs-read", &format!("{path}{from}")).await;
        assert_eq!((status, &page["common"]), (200, &json!(2)), "{page}");
        seen.extend(page["pairs"].as_array().unwrap().iter().map(|pair| pair["sequence"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        from = format!("&from={next}");
    }
    assert_eq!(seen, (3..=8).collect::<Vec<u64>>());
}

#[tokio::test]
async fn messages_come_in_pages_with_who_says_them() {
    let served = filled().await;
    let (status, page) = got(&served, "runs-read", "/v1/sessions/run-7/show?limit=1").await;
    assert_eq!(status, 200);
    assert_eq!(page["entries"][0]["parts"][0]["text"], "why does the login time out");
    let next = page["next"].as_u64().unwrap();
    let (_, rest) = got(&served, "runs-read", &format!("/v1/sessions/run-7/show?from={next}")).await;
    assert_eq!(rest["entries"][0]["summary"], "grep normalize");
    assert!(rest["next"].is_null());
    let (_, retry) =
        got(&served, "runs-read", "/v1/sessions/run-7/branches/retry/show?speaker=assistant").await;
    assert_eq!(each(&retry["entries"], "event"), ["run-7/retry@3"]);
    let (_, all) = got(&served, "runs-read", "/v1/sessions/run-7/show?events=true&sequence=1").await;
    assert_eq!(each(&all["entries"], "type"), ["run.started"]);
    for (path, status) in [
        ("run-7/show?speaker=nobody", 400),
        ("run-7/show?limit=0", 400),
        ("run-9/show", 404),
        ("run-7/branches/none/show", 404),
        ("a%2Fb/show", 400),
    ] {
        assert_eq!(got(&served, "all", &format!("/v1/sessions/{path}")).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn what_records_repeat_counts_once_over_pages_too() {
    let served = filled().await;
    let record = |output: u64| {
        let usage = json!({ "input_tokens": 100, "output_tokens": output });
        let message = json!({ "id": "m1", "role": "assistant", "content": "x", "usage": usage });
        retold::NewEvent::new("message.assistant").data(json!({ "message": message }))
    };
    served.store.append("run-9", vec![record(1), record(1), record(40)]).unwrap();
    let mut tokens = Vec::new();
    let mut next = Some(1);
    while let Some(from) = next {
        let (_, page) = got(&served, "all", &format!("/v1/sessions/run-9/show?limit=1&from={from}")).await;
        tokens.push(page["entries"][0]["output_tokens"].as_f64());
        next = page["next"].as_u64();
    }
    assert_eq!(tokens, [Some(1.0), None, Some(39.0)]);
}

#[tokio::test]
async fn a_difference_has_pages_and_the_states() {
    let served = filled().await;
    let path = "/v1/diff?left=run-7/main&right=run-7/retry";
    let (status, diff) = got(&served, "runs-read", path).await;
    assert_eq!((status, &diff["common"], &diff["left"]["branch"]), (200, &json!(2), &json!("main")));
    assert_eq!(diff["pairs"][0]["right"]["type"], "message.assistant");
    served.store.append("run-7/retry", retold::NewEvent::new("step.done")).unwrap();
    let (_, first) = got(&served, "runs-read", &format!("{path}&limit=1&projection=counts")).await;
    assert_eq!((first["pairs"].as_array().unwrap().len(), &first["next"]), (1, &json!(4)));
    assert!(!first["state"].as_array().unwrap().is_empty(), "{first}");
    let (_, second) = got(&served, "runs-read", &format!("{path}&from=4")).await;
    assert_eq!((&second["pairs"][0]["left"], &second["next"]), (&json!(null), &json!(null)));
    for (query, status) in [
        ("left=run-7/main&right=run-8/main", 400),
        ("left=run-7/main", 400),
        ("left=run-7/main&right=run-7/none", 404),
        ("left=run-7/main&right=run-7/retry&projection=none", 404),
        ("left=run-7/main&right=other/main", 403),
    ] {
        assert_eq!(got(&served, "runs-read", &format!("/v1/diff?{query}")).await.0, status, "{query}");
    }
}

#[tokio::test]
async fn a_timeline_a_description_and_figures_are_those_of_the_command_line() {
    let served = filled().await;
    let (status, timeline) = got(&served, "runs-read", "/v1/sessions/run-7/timeline").await;
    assert_eq!((status, &timeline["events"]), (200, &json!(3)));
    assert!(each(&timeline["entities"], "kind").contains(&"tool"), "{timeline}");
    let (_, part) = got(&served, "runs-read", "/v1/sessions/run-7/branches/main/timeline?from=1&to=2").await;
    assert_eq!(part["of"], "run-7/main");
    for bad in ["from=yesterday", "from=99", "to=%2B", "sequence=x", "from=3&to=1h"] {
        assert_eq!(
            got(&served, "runs-read", &format!("/v1/sessions/run-7/timeline?{bad}")).await.0,
            400,
            "{bad}"
        );
    }
    assert_eq!(got(&served, "runs-read", "/v1/sessions/run-7/timeline?sequence=99").await.0, 404);
    let (status, described) =
        got(&served, "runs-read", "/v1/sessions/run-7/branches/main/describe?events=1").await;
    assert_eq!((status, described["last_events"].as_array().unwrap().len()), (200, 1));
    assert_eq!(described["lifecycle"]["session"]["phase"], "running");
    let (_, before) = got(&served, "runs-read", "/v1/sessions/run-7/branches/main/describe?sequence=1").await;
    assert_eq!(before["sequence"], 1);
    assert_eq!(
        got(&served, "runs-read", "/v1/sessions/run-7/branches/main/describe?sequence=99").await.0,
        404
    );
    let (_, stats) = got(&served, "runs-read", "/v1/sessions/run-7/stats").await;
    assert_eq!(stats["events"], 4);
    let (_, whole) = got(&served, "reads", "/v1/stats").await;
    assert_eq!((&whole["sessions"], &whole["events"]), (&json!(3), &json!(7)));
    assert_eq!(got(&served, "runs-read", "/v1/stats").await.0, 403);
}
