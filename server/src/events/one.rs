//! One event: by its place, by its id, or by the beginning of its id.

use axum::extract::State;
use axum::response::Response;
use retold::event::finding::IdPrefix;
use retold::{Address, Error, Event, EventId, Query, Store};

use super::asked::Asked;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, InQuery, branch, invalid};
use crate::problem::Problem;
use crate::reply::json;
use crate::tokens::Scope;

/// Ids with the same beginning that are looked at: at first, and at most.
const ALIKE: (usize, usize) = (64, 8_192);

/// The event at a sequence of a branch.
#[utoipa::path(
    get, path = "/v1/sessions/{session}/branches/{branch}/events/{sequence}", tag = "events",
    params(
        ("session" = String, Path, description = "The session"),
        ("branch" = String, Path, description = "The branch"),
        ("sequence" = u64, Path, description = "The event's sequence in the branch"),
        ("style" = Option<String>, Query, description = "`exact`, `shown` or `cloudevents`"),
        ("raw" = Option<bool>, Query, description = "As it was appended, not upcast"),
    ),
    responses((status = 200, description = "The event", body = Object), (status = 404), (status = 410)),
)]
pub(crate) async fn event_at(
    State(app): State<App>,
    access: Access,
    InPath((session, name, sequence)): InPath<(String, String, u64)>,
    InQuery(pairs): InQuery<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let address = branch(&session, &name)?;
    access.session(Scope::Read, address.session())?;
    let asked = only_form(pairs, &app)?;
    let event = app.call(move |store| at(store, &address, sequence, asked.raw)).await?;
    Ok(reply(&event, &asked))
}

fn at(store: &Store, address: &Address, sequence: u64, raw: bool) -> Result<Event, Error> {
    let mut query = Query::branch(address)?.from(sequence).to(sequence).limit(1);
    if raw {
        query = query.raw();
    }
    match store.events(query)?.next() {
        Some(event) if sequence > 0 => event,
        _ => Err(Error::not_found("event", address.clone().at(sequence))),
    }
}

/// The event with an id, or with the only id that begins so.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events",
    params(
        ("id" = String, Path, description = "The event's id, or at least 8 digits of its beginning"),
        ("style" = Option<String>, Query, description = "`exact`, `shown` or `cloudevents`"),
        ("raw" = Option<bool>, Query, description = "As it was appended, not upcast"),
    ),
    responses((status = 200, description = "The event", body = Object), (status = 404), (status = 409)),
)]
pub(crate) async fn event_of_id(
    State(app): State<App>,
    access: Access,
    InPath(id): InPath<String>,
    InQuery(pairs): InQuery<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    access.somewhere(Scope::Read)?;
    let asked = only_form(pairs, &app)?;
    let raw = asked.raw;
    let event = app.call(move |store| of_id(store, &id, raw, &access)).await?;
    Ok(reply(&event, &asked))
}

fn of_id(store: &Store, text: &str, raw: bool, access: &Access) -> Result<Event, Problem> {
    if let Ok(id) = text.parse::<EventId>() {
        return readable(store, id, raw, access)?.ok_or_else(|| none(text));
    }
    let prefix = IdPrefix::new(text)?;
    let mut found = Vec::new();
    let (mut most, last) = ALIKE;
    let mut seen = 0;
    // Those of others may come first, however many they are.
    let is_all = loop {
        let ids = store.ids(&prefix, most)?;
        for id in ids.iter().skip(seen) {
            found.extend(readable(store, *id, raw, access).transpose().map(|event| (*id, event)));
        }
        seen = ids.len();
        if seen < most || found.len() > 1 || most >= last {
            break seen < most;
        }
        most = last.min(most * 4);
    };
    let ids: Vec<String> = found.iter().map(|(id, _)| id.to_string()).collect();
    match (found.pop(), found.is_empty(), is_all) {
        (None, _, true) => Err(none(text)),
        (Some((_, event)), true, true) => event,
        (_, _, is_all) => {
            let how_many = if is_all { ids.len().to_string() } else { "too many".to_owned() };
            let detail = format!("{how_many} ids begin with {text}: write more of it");
            Err(Problem::new(axum::http::StatusCode::CONFLICT, "ambiguous", detail).with("ids", ids))
        }
    }
}

/// The event, unless the token may not read it: then it is as if there were none.
fn readable(store: &Store, id: EventId, raw: bool, access: &Access) -> Result<Option<Event>, Problem> {
    let may = |session| access.may(Scope::Read, session);
    match if raw { store.get_raw(id) } else { store.get(id) } {
        Ok(event) => Ok(may(event.session()).then_some(event)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(Error::Deleted { place, .. } | Error::Truncated { place, .. }) if !may(&place.session) => {
            Ok(None)
        }
        Err(Error::Upcast { at, .. }) if !may(at.session()) => Ok(None),
        Err(Error::Corrupt { .. }) if !access.token().may_everywhere(Scope::Read) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn none(id: &str) -> Problem {
    Error::not_found("event", id).into()
}

fn only_form(pairs: Vec<(String, String)>, app: &App) -> Result<Asked, Problem> {
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !matches!(name.as_str(), "style" | "raw")) {
        return Err(invalid("query", format!("has an unknown parameter {name:?}")));
    }
    Asked::parse(pairs, app.store().catalogue())
}

fn reply(event: &Event, asked: &Asked) -> Response {
    let mut out = Vec::new();
    asked.form.write(event, &mut out);
    json(out)
}
