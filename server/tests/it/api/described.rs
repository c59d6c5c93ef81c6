//! The description of the interface says what there is, and what there is is described.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{filled, got};
use crate::harness::Served;

/// The operations of the description.
async fn operations(served: &Served) -> Vec<(String, String, Value)> {
    let described = served.get("/v1/openapi.json").await.json();
    assert_eq!(described["openapi"], "3.1.0");
    let mut found = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// Every part of a path that stands for a name, with one.
fn named(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{n}" => "4711",
        "{sequence}" => "1",
        part if part.starts_with('{') => "none",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_described_operation_is_there_and_needs_a_token_if_it_says_so() {
    let served = filled().await;
    let all = operations(&served).await;
    assert!(all.len() > 50, "{}", all.len());
    for (method, path, operation) in all {
        let answer = served.ask(&method, &named(&path)).send().await;
        if path == "/v1/live" {
            // Its token may come in the first message.
            assert_eq!((answer.status, answer.problem().as_str()), (400, "no-websocket"));
            continue;
        }
        match operation.get("security") {
            Some(_) => assert_eq!(
                (answer.status, answer.problem().as_str()),
                (401, "unauthorized"),
                "{method} {path}"
            ),
            None => assert_eq!(answer.status, 200, "{method} {path}"),
        }
        let answer = served
            .ask(&method, &named(&path))
            .token("reads")
            .header("connection", "close")
            .response()
            .await
            .0;
        // Its own 404 is about what is named; there is another one for what is no route.
        assert_ne!(answer.status().as_u16(), 405, "{method} {path}");
    }
}

#[tokio::test]
async fn every_operation_is_explained() {
    let served = filled().await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&served).await {
        let at = format!("{method} {path}");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{at} has no summary");
        assert!(operation["tags"][0].is_string(), "{at} has no tag");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(
                parameters.iter().any(|p| p["name"] == part && p["in"] == "path"),
                "{at} does not explain {part}"
            );
        }
        for parameter in parameters {
            assert!(
                !parameter["description"].as_str().unwrap_or_default().is_empty(),
                "{at}: {}",
                parameter["name"]
            );
        }
        ids.insert(at);
    }
    let html = served.get("/v1/docs").await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    for at in ids {
        let path = at.split_once(' ').unwrap().1;
        assert!(html.text().contains(path), "{at} is not on the page");
    }
    assert!(!html.text().contains("<script") && !html.text().contains("http://"));
}

/// Routes are added in the sources by `.route("…")` or with their description; the former have to be described too.
#[tokio::test]
async fn every_route_is_described() {
    let served = filled().await;
    let described: BTreeSet<String> =
        operations(&served).await.into_iter().map(|(_, path, _)| path).collect();
    let mut undescribed = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let routes =
                    text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                // A path of several parts is described as one.
                let is_described = |route: &String| described.contains(&route.replace("{*", "{"));
                undescribed.extend(routes.filter(|route| route.starts_with("/v1") && !is_described(route)));
            }
        }
    }
    assert!(undescribed.is_empty(), "{undescribed:?} are not in the description");
}

#[tokio::test]
async fn examples_of_bodies_are_taken() {
    let served = filled().await;
    let described = served.get("/v1/openapi.json").await.json();
    let schemas = &described["components"]["schemas"];
    for (path, schema) in [
        ("/v1/sessions/run-7/branches", "Fork"),
        ("/v1/sessions/run-7/labels", "Change"),
        ("/v1/sessions/run-7/notes", "Note"),
        ("/v1/leases/run-7", "Acquire"),
    ] {
        let mut body = json!({});
        for (member, about) in schemas[schema]["properties"].as_object().unwrap() {
            if let Some(example) = about.get("example") {
                body[member] = example.clone();
            }
        }
        let (status, answer) = super::did(&served, "all", "POST", path, body.clone()).await;
        assert!([200, 201].contains(&status), "{path} {body}: {answer}");
    }
    assert_eq!(got(&served, "all", "/v1/types/tool.invoked").await.0, 200);
}
