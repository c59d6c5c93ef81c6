//! Answers that are JSON: written where the store was read, in pages that are bounded in items and in bytes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::problem::Problem;

/// Bytes of items after which a page ends; a page has one item at least.
const PAGE_BYTES: usize = 4 << 20;

/// A document of JSON, and how it is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    text: String,
}

impl Answer {
    /// 200 with this document.
    pub(crate) fn of(document: &impl Serialize) -> Result<Self, Problem> {
        let text = serde_json::to_string(document).map_err(unwritten)?;
        Ok(Self { status: StatusCode::OK, location: None, text })
    }

    /// 201: it was made, and is to be found there.
    pub(crate) fn created(self, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..self }
    }

    /// Another status.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Names are percent-encoded in it.
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

/// The items of a page.
#[derive(Debug)]
pub(crate) struct Items {
    items: Vec<Box<RawValue>>,
    limit: usize,
    bytes: usize,
}

impl Items {
    /// So many at the most.
    pub(crate) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit, bytes: 0 }
    }

    /// Whether the next item belongs on the next page.
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    pub(crate) fn push(&mut self, item: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string(item).map_err(unwritten)?;
        self.bytes += text.len();
        self.items.push(RawValue::from_string(text).map_err(unwritten)?);
        Ok(())
    }

    /// `{"name": […], "next": …}`
    pub(crate) fn named(self, name: &str, next: &impl Serialize) -> Result<Answer, Problem> {
        self.within(&serde_json::Map::new(), name, next)
    }

    /// The same after the members of an object.
    pub(crate) fn within(
        self,
        head: &impl Serialize,
        name: &str,
        next: &impl Serialize,
    ) -> Result<Answer, Problem> {
        let next = serde_json::to_string(next).map_err(unwritten)?;
        self.written(head, name, &format!(",\"next\":{next}"))
    }

    /// All of them after the members of an object: there is no next page.
    pub(crate) fn list_in(self, head: &impl Serialize, name: &str) -> Result<Answer, Problem> {
        self.written(head, name, "")
    }

    fn written(self, head: &impl Serialize, name: &str, end: &str) -> Result<Answer, Problem> {
        let head = serde_json::to_string(head).map_err(unwritten)?;
        let head = head.strip_suffix('}').unwrap_or("{");
        let gap = if head == "{" { "" } else { "," };
        let items = serde_json::to_string(&self.items).map_err(unwritten)?;
        let text = format!("{head}{gap}\"{name}\":{items}{end}}}");
        Ok(Answer { status: StatusCode::OK, location: None, text })
    }
}

fn unwritten(error: serde_json::Error) -> Problem {
    tracing::error!(%error, "an answer can't be written as JSON");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer can't be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_page_ends_with_its_limit_or_its_bytes() {
        let mut items = Items::new(2);
        items.push(&1).unwrap();
        assert!(!items.is_full());
        items.push(&2).unwrap();
        assert!(items.is_full());
        let answer = items.within(&json!({"of": "s"}), "numbers", &Some("2")).unwrap();
        let document: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(document, json!({"of": "s", "numbers": [1, 2], "next": "2"}));
        let mut large = Items::new(10);
        large.push(&"x".repeat(PAGE_BYTES)).unwrap();
        assert!(large.is_full());
        let empty = Items::new(1).named("numbers", &None::<u64>).unwrap();
        assert_eq!(empty.text(), r#"{"numbers":[],"next":null}"#);
    }
}
