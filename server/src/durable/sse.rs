//! Server-sent events of a stream: its data, each time with where it is then, until it is closed or for a minute.

use std::convert::Infallible;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::Stream;
use retold::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use super::answer::joined;
use super::collapse::cursor;
use super::live::{Came, LiveRead, until};
use super::offset;
use super::payloads::is_text;
use super::read::{Part, Source};
use crate::streams::StreamPermit;

/// Silence after which a comment is sent: proxies cut streams that are silent for longer.
const SILENCE: Duration = Duration::from_secs(10);
/// How long one goes on: those who come meanwhile are collapsed into the next.
const LIFETIME: Duration = Duration::from_secs(60);

/// What has to be done next.
enum Next {
    Came(Came),
    Silence,
    Use,
    End,
}

/// The frames. A reader that is slow is waited for, and reads on from the store.
pub(super) fn frames(
    mut live: LiveRead,
    first: Part,
    permit: StreamPermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let ends_at = Instant::now() + LIFETIME;
        let mut part = first;
        loop {
            yield Ok(live.frame(&part));
            if part.is_end || permit.ends().is_cancelled() {
                return;
            }
            if part.is_last {
                break;
            }
            match live.read(part.to).await {
                Ok(next) => part = next,
                Err(_) => return,
            }
        }
        let mut at = part.to;
        let Ok(mut following) = live.follow(at).await else { return };
        let mut next_use = live.next_use();
        loop {
            let quiet = Instant::now() + SILENCE;
            let next = tokio::select! {
                biased;
                () = permit.ends().cancelled() => Next::End,
                came = live.next(&mut following) => Next::Came(came),
                () = sleep_until(ends_at) => Next::End,
                () = until(next_use) => Next::Use,
                () = sleep_until(quiet) => Next::Silence,
            };
            match next {
                Next::Came(Came::Data { data, to, is_last }) => {
                    let part = Part { from: at, to, data, is_last, is_end: false };
                    at = to;
                    if !part.data.is_empty() {
                        yield Ok(live.frame(&part));
                    }
                }
                Next::Came(Came::Over) => {
                    // Whatever is left, and that it is the end; or nothing if the stream is gone.
                    if let Ok(rest) = live.read(at).await
                        && (rest.is_end || !rest.data.is_empty())
                    {
                        yield Ok(live.frame(&rest));
                    }
                    return;
                }
                Next::Use => {
                    live.used(at).await;
                    next_use = live.next_use();
                }
                Next::Silence => yield Ok(Bytes::from_static(b":\n\n")),
                Next::End => return,
            }
        }
    }
}

impl LiveRead {
    /// A part as frames: its data if there is some, and where the stream is then.
    fn frame(&self, part: &Part) -> Bytes {
        let mut out = Vec::new();
        if !part.data.is_empty() {
            data(&self.source, part, &mut out);
        }
        let now = cursor(Timestamp::now(), self.cursor.as_deref());
        lines("control", &control(part, now), &mut out);
        out.into()
    }
}

fn control(part: &Part, cursor: u64) -> String {
    let mut all = Map::new();
    all.insert("streamNextOffset".to_owned(), offset::text(part.to).into());
    if part.is_end {
        all.insert("streamClosed".to_owned(), true.into());
    } else {
        all.insert("streamCursor".to_owned(), cursor.to_string().into());
    }
    if part.is_last {
        all.insert("upToDate".to_owned(), true.into());
    }
    Value::Object(all).to_string()
}

fn data(source: &Source, part: &Part, out: &mut Vec<u8>) {
    let joined = joined(source, &part.data);
    if is_text(&source.content_type) {
        lines("data", &String::from_utf8_lossy(&joined), out);
    } else {
        lines("data", &STANDARD.encode(&joined), out);
    }
}

/// One event. Its lines end where any reader may see an end, so nothing within them is taken for a field.
fn lines(event: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.as_bytes());
    out.push(b'\n');
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        out.extend_from_slice(b"data:");
        // A reader takes one space away.
        if line.starts_with(' ') {
            out.push(b' ');
        }
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        lines("data", text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_line_of_the_data_is_a_field() {
        assert_eq!(
            written("a\r\n\r\nevent: control\rdata:x\n"),
            "event: data\ndata:a\ndata:\ndata:event: control\ndata:data:x\ndata:\n\n"
        );
        assert_eq!(written(" a"), "event: data\ndata:  a\n\n");
        assert_eq!(written(""), "event: data\ndata:\n\n");
    }

    #[test]
    fn a_control_says_where_the_stream_is() {
        let part = |is_last, is_end| Part { from: 1, to: 7, data: Vec::new(), is_last, is_end };
        let of = |part: &Part| serde_json::from_str::<Value>(&control(part, 5)).unwrap();
        let next = "00000000000000000007";
        assert_eq!(
            of(&part(false, false)),
            serde_json::json!({ "streamNextOffset": next, "streamCursor": "5" })
        );
        assert_eq!(
            of(&part(true, false)),
            serde_json::json!({ "streamNextOffset": next, "streamCursor": "5", "upToDate": true })
        );
        assert_eq!(
            of(&part(true, true)),
            serde_json::json!({ "streamNextOffset": next, "streamClosed": true, "upToDate": true })
        );
    }
}
