//! `POST`: data is appended to a stream, or the stream is closed, or both.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::{bare, ends};
use super::append::{self, Append, Appended, Outcome};
use super::asked::{closes, content_type, stream_seq};
use super::directory::Directory;
use super::path::StreamPath;
use super::producer::Producer;
use super::record::ProducerRow;
use crate::access::Access;
use crate::app::App;
use crate::body;
use crate::input::InPath;
use crate::problem::Problem;
use crate::tokens::Scope;

const EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
const SEQ: HeaderName = HeaderName::from_static("producer-seq");
const EXPECTED: HeaderName = HeaderName::from_static("producer-expected-seq");
const RECEIVED: HeaderName = HeaderName::from_static("producer-received-seq");

/// Appends data to a stream; with `Stream-Closed: true` nothing comes after it. What a producer sends again is taken once.
#[utoipa::path(
    post, path = "/v1/stream/{path}", tag = "streams",
    params(
        ("path" = String, Path, description = "The stream"),
        ("Content-Type" = Option<String>, Header, description = "That of the stream"),
        ("Stream-Seq" = Option<String>, Header, description = "Has to be after the last one, byte by byte"),
        ("Stream-Closed" = Option<String>, Header, description = "`true`: nothing comes after it; the body may be empty"),
        ("Producer-Id" = Option<String>, Header, description = "Who sends it, together with the two that follow"),
        ("Producer-Epoch" = Option<u64>, Header, description = "Another one for each start of the producer"),
        ("Producer-Seq" = Option<u64>, Header, description = "Counts the requests of an epoch, from 0"),
    ),
    request_body(description = "The data", content((Object = "application/json"), (String = "application/octet-stream"))),
    responses(
        (status = 204, description = "Appended or closed; or it was before"),
        (status = 200, description = "Appended for a producer"),
        (status = 400, description = "A header or the body can't be used"),
        (status = 403, description = "A later epoch of the producer has begun"),
        (status = 404), (status = 405, description = "The stream is a session"), (status = 410),
        (status = 409, description = "Closed, of another type, out of sequence, or a request of the producer is missing"),
        (status = 413),
    ),
)]
pub(crate) async fn post(
    State(app): State<App>,
    access: Access,
    InPath(path): InPath<String>,
    headers: HeaderMap,
    sent: Body,
) -> Result<Response, Problem> {
    let path = StreamPath::parse(&path)?.writable(Scope::Append, &access)?;
    let producer = Producer::of(&headers)?;
    let (closes, seq) = (closes(&headers), stream_seq(&headers)?);
    let sent = body::taken(sent, app.limits().body_bytes).await?;
    // What only closes a stream may have any type, and one that is none.
    let content_type = if sent.is_empty() { None } else { content_type(&headers)? };
    let asked = Append { content_type, body: sent, closes, seq, producer };
    let _turn = match asked.takes_turns() {
        true => Some(app.turns().take(&path).await),
        false => None,
    };
    let producer = asked.producer.clone();
    let is_empty = asked.body.is_empty();
    let appended = app.call(move |store| append::append(&Directory::of(store)?, &path, &asked)).await?;
    Ok(answered(&appended, producer.as_ref(), is_empty))
}

fn answered(appended: &Appended, producer: Option<&Producer>, is_empty: bool) -> Response {
    let (end, is_closed) = (appended.end, appended.is_closed);
    match &appended.outcome {
        Outcome::Done => {
            let is_data = producer.is_some() && !is_empty;
            let status = if is_data { StatusCode::OK } else { StatusCode::NO_CONTENT };
            with(bare(status, end, is_closed), producer.map(Producer::row))
        }
        Outcome::Known(last) => with(bare(StatusCode::NO_CONTENT, end, is_closed), *last),
        Outcome::Closed => {
            let detail = "the stream is closed: nothing is appended to it any more";
            let mut response = Problem::new(StatusCode::CONFLICT, "stream-closed", detail).into_response();
            ends(response.headers_mut(), end, true);
            response
        }
        Outcome::OtherType { has } => {
            let detail = format!("the stream has data of the type {has}");
            Problem::new(StatusCode::CONFLICT, "type-differs", detail).into_response()
        }
        Outcome::Stale { epoch } => {
            let detail = format!("epoch {epoch} of this producer has begun: begin a later one to go on");
            let problem = Problem::new(StatusCode::FORBIDDEN, "stale-epoch", detail);
            numbered(problem.with("epoch", *epoch).into_response(), [(EPOCH, *epoch)])
        }
        Outcome::NoBeginning => {
            Problem::bad_request("an epoch of a producer begins with Producer-Seq 0").into_response()
        }
        Outcome::Gap { due } => {
            let received = producer.map_or(0, |sent| sent.seq);
            let detail = format!("request {due} of the producer is missing, and this is {received}");
            let problem = Problem::new(StatusCode::CONFLICT, "producer-gap", detail);
            numbered(problem.into_response(), [(EXPECTED, *due), (RECEIVED, received)])
        }
        Outcome::OutOfSequence => {
            let detail = "the Stream-Seq is not after the last one of this stream";
            Problem::new(StatusCode::CONFLICT, "out-of-sequence", detail).into_response()
        }
    }
}

fn with(response: Response, last: Option<ProducerRow>) -> Response {
    match last {
        Some(last) => numbered(response, [(EPOCH, last.epoch), (SEQ, last.seq)]),
        None => response,
    }
}

fn numbered<const N: usize>(mut response: Response, numbers: [(HeaderName, u64); N]) -> Response {
    for (name, number) in numbers {
        response.headers_mut().insert(name, HeaderValue::from(number));
    }
    response
}
