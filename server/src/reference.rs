//! The description of the interface as a page: one file without scripts, made from the OpenAPI document.

use std::fmt::Write as _;

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
details{border-top:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}code,b{font-family:ui-monospace,monospace}\
b{display:inline-block;min-width:4.5rem}table{border-collapse:collapse;margin:.5rem 0}td{padding:.15rem .8rem .15rem 0;vertical-align:top}";

/// What a browser lets the page do: it has this style, which is in it, and nothing else.
pub(crate) fn policy() -> String {
    let style = BASE64.encode(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// The page.
pub(crate) fn page(described: &Value) -> String {
    let mut html = String::from("<!doctype html><html lang=en><meta charset=utf-8>");
    html.push_str("<meta name=viewport content=\"width=device-width\"><title>retold: HTTP</title>");
    let _ = write!(html, "<style>{STYLE}</style><h1>retold</h1>");
    let _ = write!(
        html,
        "<p>{} <a href=\"/v1/openapi.json\">openapi.json</a>",
        marked(text(described, "/info/description"))
    );
    for tag in described.get("tags").and_then(Value::as_array).into_iter().flatten() {
        let name = text(tag, "/name");
        let mut of = String::new();
        for (path, item) in described.get("paths").and_then(Value::as_object).into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if text(operation, "/tags/0") == name {
                    operation_of(&mut of, method, path, operation);
                }
            }
        }
        if !of.is_empty() {
            let _ = write!(html, "<h2>{}</h2><p>{}", escaped(name), marked(text(tag, "/description")));
            html.push_str(&of);
        }
    }
    html
}

fn operation_of(html: &mut String, method: &str, path: &str, operation: &Value) {
    let (method, path) = (escaped(&method.to_uppercase()), escaped(path));
    let _ = write!(html, "<details><summary><b>{method}</b> <code>{path}</code> — ");
    let _ = write!(
        html,
        "{}</summary><p>{}",
        marked(text(operation, "/summary")),
        marked(text(operation, "/description"))
    );
    html.push_str("<table>");
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let (name, about) = (escaped(text(parameter, "/name")), marked(text(parameter, "/description")));
        let _ = write!(html, "<tr><td><code>{name}</code><td>{}<td>{about}", escaped(text(parameter, "/in")));
    }
    for (status, response) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        let about = marked(text(response, "/description"));
        let _ = write!(html, "<tr><td><code>{}</code><td>answer<td>{about}", escaped(status));
    }
    html.push_str("</table></details>");
}

fn text<'v>(of: &'v Value, pointer: &str) -> &'v str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// With what stands between backticks as code.
fn marked(text: &str) -> String {
    let parts = escaped(text);
    let parts = parts.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_has_every_operation_and_no_markup_of_others() {
        let operation = json!({
            "tags": ["a"], "summary": "Do `x` & <y>", "responses": { "200": { "description": "ok" } },
            "parameters": [{ "name": "p", "in": "query", "description": "a \"p\"" }],
        });
        let html = page(&json!({ "tags": [{ "name": "a" }], "paths": { "/v1/a": { "get": operation } } }));
        assert!(html.contains("<code>/v1/a</code> — Do <code>x</code> &amp; &lt;y&gt;"), "{html}");
        assert!(html.contains("a &quot;p&quot;") && html.contains("<code>200</code>"), "{html}");
        assert!(!html.contains("<y>") && !html.contains("<script"));
    }
}
