//! What a request asks for, from its headers.

use axum::http::HeaderMap;
use retold::Timestamp;

use super::offset::Offset;
use super::path::StreamPath;
use super::payloads::{BYTES, essence};
use crate::input::{header_of, invalid};
use crate::problem::Problem;

/// Bytes of a Content-Type.
const MOST_TYPE_BYTES: usize = 255;
/// Bytes of a `Stream-Seq`.
const MOST_SEQ_BYTES: usize = 1_024;
/// The largest number that is read.
const MOST: u64 = (1 << 53) - 1;

/// The stream that is asked for.
#[derive(Clone, Debug)]
pub(super) struct NewStream {
    pub(super) content_type: Option<String>,
    pub(super) ttl: Option<u64>,
    /// In microseconds since the epoch.
    pub(super) expires: Option<i64>,
    pub(super) is_closed: bool,
    pub(super) fork: Option<NewFork>,
}

/// A fork that is asked for.
#[derive(Clone, Debug)]
pub(super) struct NewFork {
    pub(super) from: StreamPath,
    /// At the end, if it is not said.
    pub(super) at: Option<Offset>,
    pub(super) sub: u64,
}

impl NewStream {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let ttl = header_of(headers, "stream-ttl")?.map(|text| number("Stream-TTL", text)).transpose()?;
        let expires = header_of(headers, "stream-expires-at")?.map(time).transpose()?;
        if ttl.is_some() && expires.is_some() {
            return Err(invalid("Stream-TTL", "can't be given together with Stream-Expires-At"));
        }
        Ok(Self {
            content_type: content_type(headers)?,
            ttl,
            expires,
            is_closed: closes(headers),
            fork: NewFork::of(headers)?,
        })
    }

    /// The type of a stream that is no fork.
    pub(super) fn own_type(&self) -> String {
        self.content_type.clone().unwrap_or_else(|| BYTES.to_owned())
    }
}

impl NewFork {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let at = header_of(headers, "stream-fork-offset")?;
        let sub = header_of(headers, "stream-fork-sub-offset")?;
        let Some(from) = header_of(headers, "stream-forked-from")? else {
            return match (at, sub) {
                (None, None) => Ok(None),
                _ => {
                    Err(invalid("Stream-Forked-From", "is missing: an offset of a fork is one of its source"))
                }
            };
        };
        let at = at.map(|text| Offset::parse("Stream-Fork-Offset", text)).transpose()?;
        let sub = sub.map_or(Ok(0), |text| number("Stream-Fork-Sub-Offset", text))?;
        if at.is_none() && sub > 0 {
            return Err(invalid(
                "Stream-Fork-Sub-Offset",
                "is counted from Stream-Fork-Offset, which is missing",
            ));
        }
        Ok(Some(Self { from: StreamPath::of_url(from)?, at, sub }))
    }
}

/// The Content-Type, if there is one.
pub(super) fn content_type(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(text) = header_of(headers, "content-type")?.map(str::trim).filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let is_type = |part: &str| {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        !part.is_empty() && part.bytes().all(is_token)
    };
    let kind = essence(text);
    let is_sound = kind.split_once('/').is_some_and(|(of, sub)| is_type(of) && is_type(sub));
    match is_sound && text.len() <= MOST_TYPE_BYTES {
        true => Ok(Some(text.to_owned())),
        false => Err(invalid("Content-Type", "is no media type such as application/json")),
    }
}

/// Whether the stream is closed with it. Whatever else the header says counts as not there.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers.get("stream-closed").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// The `Stream-Seq`, if there is one.
pub(super) fn stream_seq(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let seq = header_of(headers, "stream-seq")?;
    if seq.is_some_and(|seq| seq.is_empty() || seq.len() > MOST_SEQ_BYTES) {
        return Err(invalid("Stream-Seq", format!("is to be 1 to {MOST_SEQ_BYTES} bytes")));
    }
    Ok(seq.map(str::to_owned))
}

/// A number as the protocol writes it.
fn number(name: &'static str, text: &str) -> Result<u64, Problem> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    let number = if is_plain && !is_padded { text.parse().ok() } else { None };
    number
        .filter(|number| *number <= MOST)
        .ok_or_else(|| invalid(name, format!("is to be a number up to {MOST}, in digits alone")))
}

/// A time to come.
fn time(text: &str) -> Result<i64, Problem> {
    let name = "Stream-Expires-At";
    let time: Timestamp =
        text.parse().map_err(|_| invalid(name, "is no time such as 2026-02-03T04:05:06Z"))?;
    match time > Timestamp::now() {
        true => Ok(time.micros()),
        false => Err(invalid(name, "has passed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn numbers_and_times_are_written_as_the_protocol_has_them() {
        let of = |name, value| NewStream::of(&headers(&[(name, value)])).map_err(|of| of.status().as_u16());
        assert_eq!(of("stream-ttl", "0").unwrap().ttl, Some(0));
        assert_eq!(of("stream-ttl", "3600").unwrap().ttl, Some(3600));
        for bad in ["", "00060", "+60", "-1", "60.5", "1e3", "abc", " 1 2", "99999999999999999999"] {
            assert_eq!(of("stream-ttl", bad).unwrap_err(), 400, "{bad:?}");
        }
        assert!(of("stream-expires-at", "2999-01-02T03:04:05+01:00").unwrap().expires.is_some());
        for bad in ["", "not-a-time", "2001-01-01T00:00:00Z", "60s"] {
            assert_eq!(of("stream-expires-at", bad).unwrap_err(), 400, "{bad:?}");
        }
        let both = headers(&[("stream-ttl", "1"), ("stream-expires-at", "2999-01-02T03:04:05Z")]);
        assert_eq!(NewStream::of(&both).unwrap_err().status().as_u16(), 400);
        for bad in [
            &[("stream-ttl", "1"), ("stream-ttl", "1")][..],
            &[("content-type", "json")],
            &[("content-type", "a/b c")],
        ] {
            assert_eq!(NewStream::of(&headers(bad)).unwrap_err().status().as_u16(), 400, "{bad:?}");
        }
    }

    #[test]
    fn a_fork_has_a_source_and_offsets_only_with_it() {
        let from = ("stream-forked-from", "/v1/stream/a");
        let zeros = ("stream-fork-offset", "0000000000000000_0000000000000000");
        let sub = |value| ("stream-fork-sub-offset", value);
        let of = |all: &[(&'static str, &str)]| NewStream::of(&headers(all)).map(|new| new.fork.unwrap());
        let fork = of(&[from, zeros, sub("3")]).unwrap();
        assert_eq!((fork.at, fork.sub), (Some(Offset::Start), 3));
        assert_eq!(of(&[from]).unwrap().at, None);
        assert_eq!(of(&[from, sub("0")]).unwrap().sub, 0);
        for bad in [
            &[zeros][..],
            &[sub("0")],
            &[from, sub("1")],
            &[from, zeros, sub("05")],
            &[from, ("stream-fork-offset", "x")],
        ] {
            assert_eq!(NewStream::of(&headers(bad)).unwrap_err().status().as_u16(), 400, "{bad:?}");
        }
    }

    #[test]
    fn only_true_closes() {
        for (value, is_closed) in
            [("true", true), ("TRUE", true), ("false", false), ("1", false), ("", false)]
        {
            assert_eq!(closes(&headers(&[("stream-closed", value)])), is_closed, "{value:?}");
        }
    }
}
