//! `PUT`: a stream is made, or it is there as it is asked for.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::answer;
use super::asked::NewStream;
use super::create::{self, Put};
use super::directory::Directory;
use super::path::{StreamPath, url};
use crate::access::Access;
use crate::app::App;
use crate::body;
use crate::input::{InPath, header_of};
use crate::problem::Problem;
use crate::tokens::Scope;

/// Makes a stream, with its first data. If it is there as it is asked for, nothing changes.
#[utoipa::path(
    put, path = "/v1/stream/{path}", tag = "streams",
    params(
        ("path" = String, Path, description = "Where the stream is: parts separated by `/`"),
        ("Content-Type" = Option<String>, Header, description = "What its data is; `application/json` for messages"),
        ("Stream-TTL" = Option<u64>, Header, description = "Seconds without a read or a write after which it goes"),
        ("Stream-Expires-At" = Option<String>, Header, description = "When it goes"),
        ("Stream-Closed" = Option<String>, Header, description = "`true` for one that is complete"),
        ("Stream-Forked-From" = Option<String>, Header, description = "The path of the URL of the stream that it is a fork of"),
        ("Stream-Fork-Offset" = Option<String>, Header, description = "Where the fork leaves; the end if it is not said"),
        ("Stream-Fork-Sub-Offset" = Option<u64>, Header, description = "Bytes, or messages, that the fork has after that"),
    ),
    request_body(description = "Its first data", content((Object = "application/json"), (String = "application/octet-stream"))),
    responses(
        (status = 201, description = "It is made"),
        (status = 200, description = "It was there, and is as it is asked for"),
        (status = 400, description = "A header or the body can't be used"),
        (status = 404, description = "The stream to be forked is not there"),
        (status = 409, description = "It is there, and is not as it is asked for; or it was deleted, but forks of it are there"),
        (status = 413),
    ),
)]
pub(crate) async fn put(
    State(app): State<App>,
    access: Access,
    InPath(path): InPath<String>,
    headers: HeaderMap,
    sent: Body,
) -> Result<Response, Problem> {
    let path = StreamPath::parse(&path)?.writable(Scope::Append, &access)?;
    let asked = NewStream::of(&headers)?;
    if let Some(fork) = &asked.fork {
        fork.from.may_be_read(&access)?;
    }
    let location = location(&app, &headers, &path)?;
    let sent = body::taken(sent, app.limits().body_bytes).await?;
    let _turn = app.turns().take(&path).await;
    let swept = app.swept();
    let (put, swept) = app
        .call(move |store| {
            let of = Directory::of(store)?;
            let put: Put = create::put(&of, &path, &asked, &sent)?;
            let swept = if put.is_new { swept_on(&of, swept.as_deref()) } else { swept };
            Ok::<_, Problem>((put, swept))
        })
        .await?;
    app.set_swept(swept);
    let status = if put.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = answer::bare(status, put.end, put.is_closed);
    let headers = response.headers_mut();
    answer::put(headers, header::CONTENT_TYPE, &put.content_type);
    if put.is_new {
        answer::put(headers, header::LOCATION, &location);
    }
    Ok(response)
}

/// Removes what is left of streams of before. The stream that was made has nothing to do with what fails there.
fn swept_on(of: &Directory, after: Option<&[u8]>) -> Option<Vec<u8>> {
    of.sweep(after).unwrap_or_else(|error| {
        tracing::warn!(%error, "records of streams that expired can't be removed");
        None
    })
}

/// The whole URL of a stream, as whoever asks reaches it.
fn location(app: &App, headers: &HeaderMap, path: &str) -> Result<String, Problem> {
    let host = header_of(headers, "host")?.unwrap_or("localhost");
    let scheme = if app.is_https() { "https" } else { "http" };
    Ok(format!("{scheme}://{host}{}", url(path)))
}
