//! The description of the interface, made from the handlers: OpenAPI 3.1 at `/v1/openapi.json`, and as a page at `/v1/docs`.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::reference::{page, policy};

/// What is not documented with the routes that it is given.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "retold",
        description = "A store of the events of agents, over HTTP. Everything is JSON; errors are problem documents (RFC 9457)."
    ),
    tags(
        (name = "events", description = "Append, read and follow events"),
        (name = "sessions", description = "Sessions: list, show, describe, delete"),
        (name = "branches", description = "Branches: fork, compare, promote, truncate"),
        (name = "streams", description = "Durable Streams: bytes and JSON by path, with the open protocol of this name"),
        (name = "search", description = "Find events by what they say"),
        (name = "projections", description = "States, as of any moment"),
        (name = "consumers", description = "Durable consumers: deliver, acknowledge, redeliver"),
        (name = "dead letters", description = "Events that could not be handled"),
        (name = "timers", description = "Events that are recorded later"),
        (name = "leases", description = "Who works on a session"),
        (name = "types", description = "The catalogue of types"),
        (name = "store", description = "The store as a whole"),
        (name = "operations", description = "For those who watch over the server"),
    ),
    paths(
        crate::health::health, crate::health::ready, crate::health::metrics, document, docs,
        crate::durable::put::put, crate::durable::post::post, crate::durable::get::get, crate::durable::delete::delete,
    )
)]
struct Beside;

/// The routes of `api`, with those that describe them.
pub(crate) fn routes(api: OpenApiRouter<App>) -> Router<App> {
    let (routes, described) = OpenApiRouter::with_openapi(Beside::openapi()).merge(api).split_for_parts();
    let mut described = completed(serde_json::to_value(&described).unwrap_or_default());
    // What all operations have in common is of no use on the page.
    let html = page(&described);
    each_operation(&mut described, common);
    let (text, policy) = (described.to_string(), policy());
    routes
        .route("/v1/openapi.json", get(move || document(text.clone())))
        .route("/v1/docs", get(move || docs(html.clone(), policy.clone())))
}

/// This description. Needs no token.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "operations", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"),
))]
async fn document(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}

/// This description as a page. Needs no token, and nothing from elsewhere.
#[utoipa::path(get, path = "/v1/docs", tag = "operations", responses(
    (status = 200, description = "HTML", body = String, content_type = "text/html"),
))]
async fn docs(html: String, policy: String) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, html)
}

/// Routes that need no token.
const OPEN: [&str; 4] = ["/health", "/ready", "/v1/docs", "/v1/openapi.json"];

/// With what is the same for all: who may ask, and what an error looks like.
fn completed(mut described: Value) -> Value {
    if let Some(info) = described.get_mut("info") {
        *info = json!({
            "title": info.get("title"), "description": info.get("description"), "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        });
    }
    each_operation(&mut described, complete);
    let components =
        described.as_object_mut().map(|all| all.entry("components").or_insert_with(|| json!({})));
    if let Some(components) = components.and_then(Value::as_object_mut) {
        let schemes = json!({ "token": { "type": "http", "scheme": "bearer" } });
        components.insert("securitySchemes".to_owned(), schemes);
        let schemas = components.entry("schemas").or_insert_with(|| json!({}));
        if let Some(schemas) = schemas.as_object_mut() {
            schemas.insert("Problem".to_owned(), problem());
        }
    }
    described
}

fn each_operation(described: &mut Value, complete: impl Fn(&str, &mut Map<String, Value>)) {
    let Some(paths) = described.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        let operations = item.as_object_mut().into_iter().flat_map(Map::values_mut);
        operations.filter_map(Value::as_object_mut).for_each(|operation| complete(path, operation));
    }
}

/// What every operation may answer, unless it says more about it.
fn common(path: &str, operation: &mut Map<String, Value>) {
    let (is_open, has_body) = (OPEN.contains(&path), operation.contains_key("requestBody"));
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, description, is_possible) in [
        ("400", "The request can't be read, or has a value that can't be used", true),
        ("401", "The request has no token, or one that is not known", !is_open),
        ("403", "The token may not do this, or not in this session", !is_open),
        ("413", "The body is too long", has_body),
        ("415", "The body is of another type", has_body),
        ("429", "The token asks too often", !is_open),
        ("503", "The store or the server can't be used at the moment", !is_open),
        ("504", "It took too long", !is_open),
    ] {
        if is_possible && !responses.contains_key(status) {
            let problem = json!({ "description": description, "content": problem_content() });
            responses.insert(status.to_owned(), problem);
        }
    }
}

fn problem_content() -> Value {
    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } })
}

fn complete(path: &str, operation: &mut Map<String, Value>) {
    if !OPEN.contains(&path) {
        operation.insert("security".to_owned(), json!([{ "token": [] }]));
    }
    let content = problem_content();
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in
        responses.iter_mut().filter_map(|(status, r)| Some((status, r.as_object_mut()?)))
    {
        if status.starts_with(['4', '5']) {
            response.insert("content".to_owned(), content.clone());
        }
    }
    responses.insert("default".to_owned(), json!({ "description": "A problem", "content": content }));
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457). What has happened is told by its type.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "description": "`urn:retold:problem:` and a name that does not change" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What is wrong, and the way out" },
        },
    })
}
