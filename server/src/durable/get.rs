//! `GET` and `HEAD`: what a stream has, from an offset on; at once, once there is more, or as it comes.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use super::answer::{about, whole};
use super::live::LiveRead;
use super::offset::Offset;
use super::path::StreamPath;
use super::payloads::is_text;
use super::read::{Source, part};
use super::{long_poll, sse};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, InQuery, invalid};
use crate::problem::Problem;
use crate::reply;

/// Said of data that is no text.
const ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    CatchUp,
    LongPoll,
    Sse,
}

/// Where and how it is read. What the protocol does not name is for others.
#[derive(Debug)]
struct Reading {
    offset: Offset,
    mode: Mode,
    cursor: Option<String>,
}

impl Reading {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let (mut offset, mut mode, mut cursor) = (None, None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "offset" => once("offset", &mut offset, Offset::parse("offset", &value)?)?,
                "live" => once("live", &mut mode, live(&value)?)?,
                "cursor" => once("cursor", &mut cursor, value)?,
                _ => {}
            }
        }
        let mode = mode.unwrap_or(Mode::CatchUp);
        if mode != Mode::CatchUp && offset.is_none() {
            return Err(invalid("offset", "is missing: a live read says where it begins"));
        }
        Ok(Self { offset: offset.unwrap_or(Offset::Start), mode, cursor })
    }
}

fn once<T>(name: &'static str, of: &mut Option<T>, value: T) -> Result<(), Problem> {
    match of.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(name, "is given more than once")),
    }
}

fn live(text: &str) -> Result<Mode, Problem> {
    match text {
        "long-poll" => Ok(Mode::LongPoll),
        "sse" => Ok(Mode::Sse),
        _ => Err(invalid("live", "is neither `long-poll` nor `sse`")),
    }
}

/// Data of a stream, from an offset on. `HEAD` says what it is and where it ends, and does not count as a use of it.
#[utoipa::path(
    get, path = "/v1/stream/{path}", tag = "streams",
    params(
        ("path" = String, Path, description = "The stream; `sessions/SESSION/BRANCH` for a branch of a session"),
        ("offset" = Option<String>, Query, description = "Where to begin: an offset that was given, `-1`, or `now`"),
        ("live" = Option<String>, Query, description = "`long-poll` waits for more; `sse` is a stream of server-sent events"),
        ("cursor" = Option<String>, Query, description = "The `Stream-Cursor` of the answer before"),
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that the reader has"),
    ),
    responses(
        (status = 200, description = "Data, and the offset after it in `Stream-Next-Offset`", content(
            (Object = "application/json"), (String = "application/octet-stream"), (String = "text/event-stream"),
        )),
        (status = 204, description = "Nothing new came in time, or nothing comes any more"),
        (status = 304, description = "The reader has this already"),
        (status = 400, description = "The offset or another parameter can't be used"),
        (status = 404), (status = 410, description = "The stream was deleted, or the data removed"),
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    access: Access,
    InPath(path): InPath<String>,
    InQuery(pairs): InQuery<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = StreamPath::parse(&path)?;
    path.may_be_read(&access)?;
    let Reading { offset, mode, cursor } = Reading::parse(pairs)?;
    let permit = match mode {
        Mode::CatchUp => None,
        Mode::LongPoll | Mode::Sse => Some(app.stream(access.token())?),
    };
    let of = path.clone();
    let (source, part) = app
        .call(move |store| {
            let source = Source::find(store, &of)?;
            let part = part(store, &source, offset)?;
            Ok::<_, Problem>((source, part))
        })
        .await?;
    let Some(permit) = permit else { return Ok(whole(&source, &part, &headers)) };
    let live = LiveRead { app, path, source, cursor };
    if mode == Mode::LongPoll {
        return long_poll::answer(live, part, &permit).await;
    }
    let is_encoded = !is_text(&live.source.content_type);
    let mut response =
        reply::with_type("text/event-stream", Body::from_stream(sse::frames(live, part, permit)));
    if is_encoded {
        response.headers_mut().insert(ENCODING, HeaderValue::from_static("base64"));
    }
    Ok(response)
}

/// What a stream is, and where it ends. Does not count as a use of it.
pub(crate) async fn head(
    State(app): State<App>,
    access: Access,
    InPath(path): InPath<String>,
) -> Result<Response, Problem> {
    let path = StreamPath::parse(&path)?;
    path.may_be_read(&access)?;
    let source = app.call(move |store| Source::find(store, &path)).await?;
    Ok(about(&source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_says_where_and_how_once() {
        let parse = |text: &str| {
            let pairs = text.split('&').filter(|one| !one.is_empty());
            let pairs = pairs.map(|one| one.split_once('=').unwrap());
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Reading::parse(pairs).map(|of| (of.offset, of.mode)).map_err(|of| of.status().as_u16())
        };
        assert_eq!(parse(""), Ok((Offset::Start, Mode::CatchUp)));
        assert_eq!(parse("offset=now&live=sse&cursor=5&other=x"), Ok((Offset::Now, Mode::Sse)));
        for bad in [
            "offset=",
            "offset=-1&offset=-1",
            "live=sse",
            "live=long-poll",
            "offset=-1&live=x",
            "cursor=1&cursor=2",
        ] {
            assert_eq!(parse(bad), Err(400), "{bad}");
        }
    }
}
