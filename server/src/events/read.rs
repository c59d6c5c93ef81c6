//! Events of a branch, of a session, or of everything: as a page, as lines, or live.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::asked::{Asked, From};
use super::feed::Feed;
use super::watch::{Begin, Watch};
use super::{lines, page, sse};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, InQuery, branch, invalid, session};
use crate::problem::Problem;
use crate::reply;

type Pairs = Vec<(String, String)>;

/// The events of a branch, inherited ones first.
#[utoipa::path(
    get, path = "/v1/sessions/{session}/branches/{branch}/events", tag = "events",
    params(
        ("session" = String, Path, description = "The session"),
        ("branch" = String, Path, description = "The branch"),
        ReadAsked,
    ),
    responses(
        (status = 200, description = "A page `{events, next}`, lines of events, or a live stream", content(
            (Object = "application/json"), (String = "application/x-ndjson"), (String = "text/event-stream"),
        )),
        (status = 400, description = "A parameter or the cursor can't be used"),
        (status = 404), (status = 410, description = "The branch was deleted, or the events removed"),
    ),
)]
pub(crate) async fn branch_events(
    State(app): State<App>,
    access: Access,
    InPath((session, name)): InPath<(String, String)>,
    InQuery(pairs): InQuery<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(app, access, Feed::Branch(branch(&session, &name)?), pairs, &headers).await
}

/// The events of all branches of a session, in global order.
#[utoipa::path(
    get, path = "/v1/sessions/{session}/events", tag = "events",
    params(("session" = String, Path, description = "The session"), ReadAsked),
    responses(
        (status = 200, description = "A page `{events, next}`, lines of events, or a live stream", content(
            (Object = "application/json"), (String = "application/x-ndjson"), (String = "text/event-stream"),
        )),
        (status = 400, description = "A parameter or the cursor can't be used"),
        (status = 404),
    ),
)]
pub(crate) async fn session_events(
    State(app): State<App>,
    access: Access,
    InPath(name): InPath<String>,
    InQuery(pairs): InQuery<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(app, access, Feed::Session(session(&name)?), pairs, &headers).await
}

/// All events that the token may read, in global order.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(ReadAsked),
    responses(
        (status = 200, description = "A page `{events, next}`, lines of events, or a live stream", content(
            (Object = "application/json"), (String = "application/x-ndjson"), (String = "text/event-stream"),
        )),
        (status = 400, description = "A parameter or the cursor can't be used"),
    ),
)]
pub(crate) async fn all_events(
    State(app): State<App>,
    access: Access,
    InQuery(pairs): InQuery<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(app, access, Feed::All, pairs, &headers).await
}

/// What is asked for when events are read. Lists may be given more than once.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct ReadAsked {
    /// The first sequence of a branch, or position of a session or everything; `start`, `end`
    from: Option<String>,
    /// The last sequence or position
    to: Option<u64>,
    /// Events of a page, 1 to 1000
    limit: Option<u64>,
    /// Latest first
    reverse: Option<bool>,
    /// Where the page before this one, or a live stream, ended
    cursor: Option<String>,
    /// Types that match one of these globs
    r#type: Option<Vec<String>>,
    /// But none that matches one of these
    except: Option<Vec<String>>,
    /// Tests of the payload: `/tool == "cargo"`, `/ms > 500`
    r#where: Option<Vec<String>>,
    /// Only events of this source
    source: Option<String>,
    /// Only events of this actor
    actor: Option<String>,
    /// Only events of this correlation
    correlation: Option<String>,
    /// At least this, 0 to 255
    priority: Option<u8>,
    /// Metadata, as KEY=VALUE
    meta: Option<Vec<String>>,
    /// That happened at or after this time, or in the last 90s, 15m, 7d
    since: Option<String>,
    /// That happened before this time
    until: Option<String>,
    /// As they were appended, not upcast
    raw: Option<bool>,
    /// `exact`, `shown` or `cloudevents`
    style: Option<String>,
    /// `sse` for a live stream, where the Accept header can't be set
    follow: Option<String>,
}

/// How events are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Page,
    Lines,
    Live,
}

impl How {
    /// The first of the accepted types that there is.
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let types = accepted.flat_map(|value| value.split(','));
        let essences =
            types.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let known = essences.filter_map(|essence| match essence.as_str() {
            "text/event-stream" => Some(Self::Live),
            "application/x-ndjson" | "application/jsonl" => Some(Self::Lines),
            "application/json" | "*/*" | "application/*" => Some(Self::Page),
            _ => None,
        });
        known.into_iter().next().unwrap_or(Self::Page)
    }
}

async fn answer(
    app: App,
    access: Access,
    feed: Feed,
    pairs: Pairs,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    feed.allowed(&access)?;
    let asked = Asked::parse(pairs, app.store().catalogue())?;
    let how = if asked.is_followed { How::Live } else { How::of(headers) };
    match how {
        How::Page => {
            let key = *app.cursor_key();
            let page = app.call(move |store| page::page(store, &key, &feed, &asked, &access)).await?;
            Ok(reply::json(page))
        }
        How::Lines => {
            let permit = app.stream(access.token())?;
            let (of, by) = (feed.clone(), asked.clone());
            let query = app.call(move |store| lines::query(store, &of, &by)).await?;
            let lines = lines::lines(app, query, (feed, asked, access), permit);
            Ok(reply::with_type("application/x-ndjson", Body::from_stream(lines)))
        }
        How::Live => {
            asked.is_for_a_stream()?;
            let permit = app.stream(access.token())?;
            let begin = begin(headers, &asked)?;
            let watch = Watch::open(&app, feed, access, asked.text(), begin, asked.raw).await?;
            let frames = sse::frames(watch, asked.form, permit);
            Ok(reply::with_type("text/event-stream", Body::from_stream(frames)))
        }
    }
}

/// After what the reader has seen; else after what it asked for when it came first.
fn begin(headers: &HeaderMap, asked: &Asked) -> Result<Begin, Problem> {
    if let Some(last) = headers.get("last-event-id").filter(|last| !last.is_empty()) {
        let last = last.to_str().map_err(|_| invalid("Last-Event-ID", "is not text"))?;
        return Ok(Begin::Cursor(last.to_owned()));
    }
    match (&asked.cursor, asked.from) {
        (Some(_), Some(_)) => Err(invalid("from", "can't be given together with cursor")),
        (Some(cursor), None) => Ok(Begin::Cursor(cursor.clone())),
        (None, from) => Ok(Begin::From(from.unwrap_or(From::Start))),
    }
}
