//! Finding events by what they say.

use retold::{EventId, NewEvent};
use serde_json::json;

use super::{each, filled, got};

#[tokio::test]
async fn hits_come_with_marks_and_in_pages() {
    let served = filled().await;
    let (status, found) = got(&served, "reads", "/v1/search?q=login&limit=2").await;
    assert_eq!((status, found["hits"].as_array().unwrap().len(), &found["next"]), (200, 2, &json!(2)));
    let hit = &found["hits"][0];
    let mark = (hit["marks"][0][0].as_u64().unwrap() as usize, hit["marks"][0][1].as_u64().unwrap() as usize);
    assert_eq!(&hit["snippet"].as_str().unwrap()[mark.0..mark.1], "login");
    assert!(hit["score"].is_number());
    let (_, rest) = got(&served, "reads", "/v1/search?q=login&limit=2&offset=2").await;
    assert_eq!((rest["hits"].as_array().unwrap().len(), &rest["next"]), (2, &json!(null)));
    let (_, said) = got(&served, "reads", "/v1/search?q=login&speaker=assistant").await;
    assert_eq!(each(&said["hits"], "address"), ["run-7/retry@3"]);
    let (_, typed) =
        got(&served, "reads", "/v1/search?q=lock&type=message.user&source=sketch&since=1h").await;
    assert_eq!(each(&typed["hits"], "address"), ["run-8/main@1"]);
    for bad in [
        "",
        "?q=",
        "?q=-login",
        "?q=login&limit=0",
        "?q=login&limit=1001",
        "?q=login&meta=x",
        "?q=login&where=%5B",
        "?q=login&x=1",
    ] {
        assert_eq!(got(&served, "reads", &format!("/v1/search{bad}")).await.0, 400, "{bad}");
    }
}

/// More than any search looks at, all better than the token's own.
#[tokio::test]
async fn what_others_say_does_not_crowd_out_what_a_token_may_find() {
    let served = filled().await;
    let (_, before) = got(&served, "runs-read", "/v1/search?q=login&limit=1").await;
    for _ in 0..11 {
        let said = NewEvent::new("message.user").data(json!({ "text": "login login login" }));
        let much: Vec<NewEvent> = (0..1_000).map(|_| said.clone().with_id(EventId::new())).collect();
        served.store.append("other", much).unwrap();
    }
    let (status, after) = got(&served, "runs-read", "/v1/search?q=login&limit=1").await;
    assert_eq!((status, &after), (200, &before));
    let (_, rest) = got(&served, "runs-read", "/v1/search?q=login&limit=9&offset=1").await;
    assert_eq!((rest["hits"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));
}

#[tokio::test]
async fn a_token_finds_what_is_in_its_sessions_as_if_there_were_no_others() {
    let served = filled().await;
    let (status, found) = got(&served, "runs-read", "/v1/search?q=login&limit=1").await;
    assert_eq!((status, found["hits"].as_array().unwrap().len(), &found["next"]), (200, 1, &json!(1)));
    let (_, rest) = got(&served, "runs-read", "/v1/search?q=login&limit=1&offset=1").await;
    assert_eq!((rest["hits"].as_array().unwrap().len(), &rest["next"]), (1, &json!(null)));
    for hit in [&found["hits"][0], &rest["hits"][0]] {
        assert!(hit["address"].as_str().unwrap().starts_with("run-7"), "{hit}");
        assert!(hit.get("score").is_none(), "{hit}");
    }
    assert!(found.get("up_to").is_none() && found.get("unread").is_none(), "{found}");
    let (_, none) = got(&served, "runs-read", "/v1/search?q=secret").await;
    assert_eq!(none, json!({ "hits": [], "next": null }));
    assert_eq!(got(&served, "runs-read", "/v1/search?q=secret&session=other").await.0, 403);
    let (_, mine) = got(&served, "others", "/v1/search?q=secret&session=other").await;
    assert_eq!(each(&mine["hits"], "address"), ["other/main@1"]);
}
