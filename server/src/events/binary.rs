//! A CloudEvent in binary mode: its attributes are headers, its data is the body.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use percent_encoding::percent_decode;
use retold::event::JSON;
use retold::{Address, Invalid, NewEvent};
use serde_json::{Map, Value};

use super::single;
use crate::problem::Problem;

/// The header that says that a request is one.
pub(super) const VERSION: &str = "ce-specversion";
/// Not attributes: the body is the data, and Content-Type says what it is.
const NOT_HEADERS: [&str; 3] = ["data", "data_base64", "datacontenttype"];

/// The event of a request.
pub(super) fn event(headers: &HeaderMap, body: &Bytes, to: &Address) -> Result<NewEvent, Problem> {
    let event = single::event(&attributes(headers)?, to)?;
    if body.is_empty() {
        return Ok(event);
    }
    let content_type = match headers.get(header::CONTENT_TYPE) {
        None => JSON,
        Some(value) => value.to_str().map_err(|_| Invalid::new("datacontenttype", "is not text"))?,
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let event = match essence.eq_ignore_ascii_case(JSON) {
        true => event.json_text(body.clone()),
        false => event.bytes(content_type.to_owned(), body.clone()),
    };
    event.check()?;
    Ok(event)
}

/// The attributes as an event without data.
fn attributes(headers: &HeaderMap) -> Result<String, Problem> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let refused = |reason: &str| Problem::bad_request(format!("the header ce-{name} {reason}"));
        if NOT_HEADERS.contains(&name) {
            return Err(refused("is none: the data is the body, and Content-Type its type"));
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(refused("names no attribute: those have letters and digits only"));
        }
        let value = value.as_bytes();
        let text =
            percent_decode(value).decode_utf8().map_err(|_| refused("is not UTF-8, percent-encoded"))?;
        if attributes.insert(name.to_owned(), Value::String(text.into_owned())).is_some() {
            return Err(refused("is given more than once"));
        }
    }
    Ok(Value::Object(attributes).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)], body: &'static [u8]) -> Result<NewEvent, Problem> {
        let mut map = HeaderMap::new();
        map.insert(VERSION, "1.0".parse().unwrap());
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        event(&map, &Bytes::from_static(body), &"s/b".parse().unwrap())
    }

    const LEAST: [(&str, &str); 3] = [("ce-id", "A-1"), ("ce-source", "/my"), ("ce-type", "step.done")];

    #[test]
    fn attributes_are_decoded_and_data_is_the_body() {
        let more = [("ce-actor", "J%C3%B6rg"), ("ce-priority", "3"), ("content-type", "text/plain")];
        let event = read(&[&LEAST[..], &more].concat(), b"hi").unwrap();
        assert_eq!((event.get_actor(), event.get_priority()), (Some("Jörg"), 3));
        assert_eq!((event.content_type(), &event.payload()[..]), ("text/plain", &b"hi"[..]));
        let json =
            read(&[&LEAST[..], &[("content-type", "application/json; charset=utf-8")]].concat(), b"{ }");
        assert!(json.unwrap().is_json());
    }

    #[test]
    fn what_is_no_attribute_is_refused() {
        for (bad, body) in [
            (("ce-data_base64", "AA=="), &b""[..]),
            (("ce-datacontenttype", "text/plain"), b""),
            (("ce-a-b", "c"), b""),
            (("ce-actor", "%FF"), b""),
            (("ce-id", "again"), b""),
            (("ce-session", "another"), b""),
            (("ce-branch", "main"), b""),
            (("content-type", "application/json"), b"{"),
        ] {
            assert_eq!(read(&[&LEAST[..], &[bad]].concat(), body).unwrap_err().status(), 400, "{bad:?}");
        }
        assert!(read(&LEAST[..2], b"").is_err(), "it has no type");
    }
}
