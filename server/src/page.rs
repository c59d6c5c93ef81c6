//! The page to look at: files of `web/`, built and embedded.
//!
//! The files hold no data, so they need no token; what the page shows it asks of the API, with the token of the reader.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{Embed, EmbeddedFile};

use crate::app::App;
use crate::input::InPath;
use crate::problem::Problem;

/// Scripts and styles of this server alone, none within the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Addresses of the page. Everything else that is unknown is a problem, not the page.
const VIEWS: [&str; 10] = [
    "/",
    "/sessions",
    "/sessions/{*rest}",
    "/compare",
    "/search",
    "/projections",
    "/consumers",
    "/dead-letters",
    "/timers",
    "/types",
];

#[derive(Embed)]
#[folder = "page"]
struct Files;

pub(crate) fn routes() -> Router<App> {
    let routes = Router::new().route("/assets/{name}", get(asset));
    VIEWS.iter().fold(routes, |routes, view| routes.route(view, get(document)))
}

async fn document(headers: HeaderMap) -> Result<Response, Problem> {
    let file = Files::get("index.html").ok_or_else(missing)?;
    // Asked again each time, but sent only when it is another.
    let tag = tag_of(&file)?;
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| known == tag);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => answer(file, "text/html; charset=utf-8"),
    };
    let own = response.headers_mut();
    own.insert(header::ETAG, tag);
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

async fn asset(InPath(name): InPath<String>) -> Result<Response, Problem> {
    let file = Files::get(&format!("assets/{name}")).ok_or_else(missing)?;
    let mut response = answer(file, kind_of(&name));
    // The name has the hash of what is in it.
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, forever);
    Ok(response)
}

fn answer(file: EmbeddedFile, kind: &'static str) -> Response {
    let mut response = Body::from(file.data).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn tag_of(file: &EmbeddedFile) -> Result<HeaderValue, Problem> {
    let mut tag = String::from("\"");
    for byte in file.metadata.sha256_hash() {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    HeaderValue::try_from(tag).map_err(|_| missing())
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn missing() -> Problem {
    Problem::not_found("the page has no such file; /sessions is where it begins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_document_names_is_embedded_with_a_type_that_browsers_take() {
        let document = Files::get("index.html").unwrap();
        let text = std::str::from_utf8(&document.data).unwrap();
        let named: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
        assert!(named.len() >= 3, "{text}");
        for name in named {
            assert!(Files::get(name.trim_start_matches('/')).is_some(), "{name}");
            assert_ne!(kind_of(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn nothing_in_the_document_needs_a_policy_that_is_wider() {
        let document = Files::get("index.html").unwrap();
        let text = std::str::from_utf8(&document.data).unwrap();
        assert!(
            !text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"),
            "{text}"
        );
        assert!(text.matches("<script").count() == text.matches(" src=\"/assets/").count(), "{text}");
        assert!(!text.contains("://"), "{text}");
    }
}
