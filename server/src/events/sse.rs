//! Server-sent events: what is recorded, then what will be, until the reader or the server leaves.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::form::Form;
use super::watch::{Ended, Told, Watch};
use crate::streams::StreamPermit;

/// Silence after which a comment is sent: proxies cut streams that are silent for longer.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Bytes that are sent together.
pub(super) const AT_ONCE: usize = 32 * 1024;

enum Next {
    Told(Option<Told>),
    Silence,
    Closing,
}

/// The frames of a stream. A reader that is slow is waited for, and reads on from the store.
pub(super) fn frames(
    mut watch: Watch,
    form: Form,
    permit: StreamPermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        yield Ok(Bytes::from_static(b"retry: 1000\n\n"));
        loop {
            let quiet = Instant::now() + SILENCE;
            let next = tokio::select! {
                biased;
                () = permit.ends().cancelled() => Next::Closing,
                told = watch.next() => Next::Told(told),
                () = sleep_until(quiet) => Next::Silence,
            };
            watch.rest();
            let mut next = match next {
                Next::Told(told) => told,
                Next::Silence => {
                    yield Ok(silence(watch.idle()));
                    continue;
                }
                Next::Closing => {
                    let mut out = Vec::new();
                    write(&Told::End(Ended::Closing), form, &mut out);
                    yield Ok(Bytes::from(out));
                    return;
                }
            };
            // What is there already goes with it.
            let mut out = Vec::new();
            let mut is_over = false;
            loop {
                match next {
                    Some(told) => write(&told, form, &mut out),
                    None => {
                        is_over = true;
                        break;
                    }
                }
                if out.len() >= AT_ONCE {
                    break;
                }
                match watch.next().now_or_never() {
                    Some(more) => next = more,
                    None => break,
                }
            }
            // It may take long to send this.
            watch.rest();
            if !out.is_empty() {
                yield Ok(Bytes::from(out));
            }
            if is_over {
                return;
            }
        }
    }
}

fn write(told: &Told, form: Form, out: &mut Vec<u8>) {
    match told {
        Told::Event { event, id } => frame("event", Some(id.as_str()), out, |out| form.write(event, out)),
        Told::Gap { first, id } => frame("gap", Some(id.as_str()), out, |out| {
            out.extend(json!({ "first": first }).to_string().into_bytes());
        }),
        Told::CaughtUp { id } => frame("caught-up", Some(id.as_str()), out, |out| out.extend(b"{}")),
        Told::Stuck(problem) | Told::Failed(problem) => {
            frame("error", None, out, |out| out.extend(problem.to_json().to_string().into_bytes()));
        }
        Told::End(ended) => frame("end", None, out, |out| {
            out.extend(json!({ "reason": ended.reason() }).to_string().into_bytes());
        }),
    }
}

/// A comment, or a cursor without an event: readers keep it, and tell nobody.
fn silence(id: Option<String>) -> Bytes {
    id.map_or(Bytes::from_static(b":\n\n"), |id| Bytes::from(format!("id: {id}\n\n")))
}

fn frame(name: &str, id: Option<&str>, out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    data(out);
    out.extend_from_slice(b"\n\n");
}
