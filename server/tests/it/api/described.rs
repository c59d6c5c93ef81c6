//! The description of the interface says what there is, and what there is is described.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

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
        if method == "HEAD" {
            // Without the document that says why.
            assert_eq!(answer.status, 401, "{method} {path}");
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
    assert_eq!(style_of(html.text()), style_allowed(html.header("content-security-policy").unwrap()));
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    for at in ids {
        let path = at.split_once(' ').unwrap().1;
        assert!(html.text().contains(path), "{at} is not on the page");
    }
    assert!(!html.text().contains("<script") && !html.text().contains("http://"));
}

/// The style that is in a page, as a policy names it: browsers compare the same.
fn style_of(html: &str) -> String {
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(!html.contains("style=") && html.matches("<style").count() == 1);
    data_encoding::BASE64.encode(&Sha256::digest(style))
}

fn style_allowed(policy: &str) -> &str {
    policy.split_once("style-src 'sha256-").unwrap().1.split_once('\'').unwrap().0
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
    // Its protocol is described elsewhere, and not by us.
    undescribed.retain(|route| route != "/v1/stream/{*path}");
    assert!(undescribed.is_empty(), "{undescribed:?} are not in the description");
}

/// The body that a schema gives as its example, or that of each member that has one. `None` if a member is missing.
fn example(described: &Value, schema: &Value) -> Option<Value> {
    let schema = match schema["$ref"].as_str() {
        Some(of) => described.pointer(of.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    if let Some(whole) = schema.get("example") {
        return Some(whole.clone());
    }
    let members = schema["properties"].as_object()?;
    let examples =
        members.iter().filter_map(|(name, about)| Some((name.clone(), about.get("example")?.clone())));
    let body: serde_json::Map<String, Value> = examples.collect();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    required.iter().all(|name| body.contains_key(name.as_str().unwrap())).then_some(Value::Object(body))
}

#[tokio::test]
async fn every_example_of_a_body_is_taken() {
    let served = filled().await;
    let described = served.get("/v1/openapi.json").await.json();
    let (mut tried, mut untried) = (BTreeSet::new(), BTreeSet::new());
    for (method, path, operation) in operations(&served).await {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str().and_then(|of| of.rsplit('/').next()) else { continue };
        let Some(body) = example(&described, schema) else {
            untried.insert(name.to_owned());
            continue;
        };
        // Each on a store of its own: some delete what others need.
        let served = filled().await;
        let path = path.replace("{s}", "run-7").replace("{b}", "retry").replace("{c}", "mailer");
        let path = named(&path.replace("{p}", "lifecycle").replace("{t}", "tool.invoked"));
        let (status, answer) = super::did(&served, "all", &method, &path, body.clone()).await;
        assert!(![400, 413, 415].contains(&status), "{method} {path} {body}: {answer}");
        tried.insert(name.to_owned());
    }
    for name in ["Fork", "Change", "Note", "Acquire", "Make", "Settings", "Policy", "Backup"] {
        assert!(tried.contains(name), "{name} is not among {tried:?}");
    }
    // Those have a token of a delivery or of a lease, which no example can have.
    untried.retain(|name| !["Ack", "Nack", "Fail", "Named", "Renew", "Release"].contains(&name.as_str()));
    assert!(untried.is_empty(), "{untried:?} have no example");
    assert_eq!(got(&served, "all", "/v1/types/tool.invoked").await.0, 200);
}
