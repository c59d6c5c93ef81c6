//! A branch as an event stream of AG-UI: what is recorded, then what will be.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use retold::agents::projections;
use serde::Deserialize;

use super::ag_ui_feed::{Resumed, Telling};
use super::asked::From;
use super::feed::{Feed, bad_cursor};
use super::pick::PickText;
use super::watch::{Begin, Watch};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, InQuery, branch, invalid};
use crate::problem::Problem;
use crate::reply;

/// Parameters of a stream.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AgUiAsked {
    /// Begin with a snapshot of the messages instead of what is recorded
    messages: Option<bool>,
    /// A projection of branches whose state goes along: `lifecycle`, `progress`, `resource`, …
    state: Option<String>,
    /// Where to go on, if the Last-Event-ID header can't be set
    cursor: Option<String>,
}

/// A branch as an event stream of AG-UI, for clients of that protocol.
#[utoipa::path(
    get, path = "/v1/sessions/{session}/branches/{branch}/ag-ui", tag = "events",
    params(
        ("session" = String, Path, description = "The session"),
        ("branch" = String, Path, description = "The branch"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last frame that was read"),
        AgUiAsked,
    ),
    responses(
        (status = 200, description = "Events of AG-UI: each `data` is one", body = String, content_type = "text/event-stream"),
        (status = 400, description = "A parameter or the cursor can't be used"),
        (status = 404), (status = 410, description = "The branch was deleted"),
    ),
)]
pub(crate) async fn ag_ui(
    State(app): State<App>,
    access: Access,
    InPath((session, name)): InPath<(String, String)>,
    InQuery(asked): InQuery<AgUiAsked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = Feed::Branch(branch(&session, &name)?);
    feed.allowed(&access)?;
    let resumed = last(&headers, asked.cursor)?.map(|text| resumed(&text)).transpose()?;
    if asked.messages == Some(true) && resumed.is_some() {
        return Err(invalid("messages", "is for a stream that begins; leave it out to go on"));
    }
    let telling = Telling {
        address: branch(&session, &name)?,
        state: asked.state.map(|name| known(&app, name)).transpose()?,
        begins_with_messages: asked.messages.unwrap_or_default(),
    };
    let begin = match &resumed {
        Some(Resumed { cursor: Some(cursor), .. }) => Begin::Cursor(cursor.clone()),
        _ => Begin::From(From::Start),
    };
    let permit = app.stream(access.token())?;
    let watch = Watch::open(&app, feed, access, &PickText::default(), begin, false).await?;
    let frames = super::ag_ui_feed::frames(app.store().clone(), watch, telling, resumed, permit);
    Ok(reply::with_type("text/event-stream", Body::from_stream(frames)))
}

/// The name of a projection, if it has a state for each branch.
fn known(app: &App, name: String) -> Result<String, Problem> {
    let mut all = projections::all(app.store().catalogue()).into_iter();
    let of_branches = |scope| scope == retold::project::Scope::Branch;
    match all.find(|projection| projection.name() == name) {
        Some(projection) if of_branches(projection.scope()) => Ok(name),
        Some(_) => Err(invalid("state", format!("{name:?} has no state for each branch"))),
        None => Err(invalid("state", format!("{name:?} is no projection; /v1/projections lists them"))),
    }
}

fn last(headers: &HeaderMap, cursor: Option<String>) -> Result<Option<String>, Problem> {
    match headers.get("last-event-id").filter(|last| !last.is_empty()) {
        Some(last) => {
            let last = last.to_str().map_err(|_| invalid("Last-Event-ID", "is not text"))?;
            Ok(Some(last.to_owned()))
        }
        None => Ok(cursor),
    }
}

/// `CURSOR.STREAM` after an event, and with `.N` after the first events of AG-UI that the next one becomes; `.end` at the end.
fn resumed(text: &str) -> Result<Resumed, Problem> {
    let mut parts = text.split('.');
    let (cursor, stream, within) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(bad_cursor("it is not one of this stream"));
    }
    let number = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| bad_cursor("it is not one of this stream"))
    };
    match (cursor, stream, within) {
        (super::ag_ui_feed::START, Some(within), None) => {
            Ok(Resumed { cursor: None, told: number(within)?, is_over: false })
        }
        (cursor, Some(stream), within) => {
            let is_over = within == Some(super::ag_ui_feed::END);
            let told = within.filter(|_| !is_over).map_or(Ok(0), number)?;
            Ok(Resumed { cursor: Some(format!("{cursor}.{stream}")), told, is_over })
        }
        (cursor, None, _) => Ok(Resumed { cursor: Some(cursor.to_owned()), told: 0, is_over: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_after_how_many_events_of_which_event_it_is() {
        let read = |text: &str| resumed(text).map(|of| (of.cursor, of.told, of.is_over));
        assert_eq!(read("start.2").unwrap(), (None, 2, false));
        assert_eq!(read("abc.0a1b").unwrap(), (Some("abc.0a1b".to_owned()), 0, false));
        assert_eq!(read("abc.0a1b.3").unwrap(), (Some("abc.0a1b".to_owned()), 3, false));
        assert_eq!(read("abc.0a1b.end").unwrap(), (Some("abc.0a1b".to_owned()), 0, true));
        assert_eq!(read("abc").unwrap(), (Some("abc".to_owned()), 0, false));
        for bad in ["abc.0a1b.-1", "abc.0a1b.3.4", "start.x", "abc.0a1b.99999999999999999999999"] {
            assert_eq!(read(bad).unwrap_err().name(), "bad-cursor", "{bad}");
        }
    }
}
