//! Projections: a list, a state as of a sequence or a time, its history, the states of a projection by key.

use axum::extract::State;
use retold::agents::projections;
use retold::error::Error;
use retold::event::{Address, SessionId, Timestamp};
use retold::project::{ProjectionInfo, Scope as StateScope};
use retold::store::Store;
use retold::wire::{self, ProjectionView, StateChange};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, limit};
use super::branches::Names;
use super::known::{find, states};
use super::whose::{Of, changes, reading};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(history))
        .routes(routes!(keys))
}

/// Whose state, and as of when. Without any of them it is what is known about the projection itself.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// The session, of a projection by branch or by session.
    session: Option<String>,
    /// The branch, of a projection by branch; the current one unless it is given.
    branch: Option<String>,
    /// The key, of a projection by key. Needs a token for all sessions.
    key: Option<String>,
    /// After this sequence of the branch; at its head unless it is given.
    sequence: Option<u64>,
    /// After the last event of the branch that had happened by this time.
    time: Option<String>,
    /// With `time`: after the last event that had been recorded by then.
    recorded: bool,
}

/// The same, and a page of its history.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Past {
    /// The session, of a projection by branch or by session.
    session: Option<String>,
    /// The branch, of a projection by branch; the current one unless it is given.
    branch: Option<String>,
    /// The key, of a projection by key. Needs a token for all sessions.
    key: Option<String>,
    /// Up to this sequence of the branch.
    sequence: Option<u64>,
    /// The position of the last change of the page before.
    after: Option<u64>,
    /// Changes of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
}

/// List the projections and how far each is. A token for some sessions is not told positions.
#[utoipa::path(get, path = "/v1/projections", tag = "projections", params(Names), responses(
    (status = 200, description = "`projections`: as `retold projections -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Names>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    app.call(move |store| {
        let mut rest = infos(store)?.into_iter().filter(|info| asked.is_after(&info.name)).peekable();
        let (mut items, mut next) = (Items::new(limit), None);
        while let Some(info) = rest.next() {
            items.push(&told(&info, &access)?)?;
            if items.is_full() {
                next = rest.peek().map(|_| info.name.clone());
                break;
            }
        }
        items.named("projections", &next)
    })
    .await
}

/// Those of the store, and those of the server that have no states in it, by name.
fn infos(store: &Store) -> Result<Vec<ProjectionInfo>, Problem> {
    let mut infos = store.projections().list()?;
    let lag = store.committed().get();
    for projection in projections::all(store.catalogue()) {
        if infos.iter().all(|info| info.name != projection.name()) {
            infos.push(ProjectionInfo::none(projection.name(), projection.scope(), lag));
        }
    }
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(infos)
}

/// What a token may know about a projection.
fn told(info: &ProjectionInfo, access: &Access) -> Result<Map<String, Value>, Problem> {
    let mut info = info.clone();
    let is_whole = access.everywhere(Scope::Read).is_ok();
    if !is_whole {
        info.parked.retain(|parked| session_of(&parked.at).is_some_and(|of| access.may(Scope::Read, &of)));
    }
    let text = Answer::of(&ProjectionView::from(&info))?;
    let mut members: Map<String, Value> = serde_json::from_str(text.text()).unwrap_or_default();
    let rebuild = info.rebuild.map(|progress| super::rebuild::progress(&progress));
    members.insert("running".to_owned(), info.running.into());
    if is_whole {
        members.insert("rebuild".to_owned(), rebuild.unwrap_or_default());
        members.insert("stopped".to_owned(), info.stopped.into());
    } else {
        members.remove("position");
        members.remove("lag");
    }
    Ok(members)
}

fn session_of(address: &str) -> Option<SessionId> {
    address.parse::<Address>().ok().map(|address| address.session().clone())
}

/// Read a state, or what is known about the projection when none is named.
///
/// A state is exact also while the projection is behind. States of sessions and keys as of a time need `recorded`.
#[utoipa::path(get, path = "/v1/projections/{p}", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle"), Whose),
    responses(
    (status = 200, description = "`projection`, `of`, `at` and `state`, as `retold state -o json` has them; or the projection", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such projection, or no such state", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "The projection raises events, and no program runs it", body = Object, content_type = "application/problem+json"),
))]
async fn one(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Whose>,
) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let named = (asked.session.as_deref(), asked.branch.as_deref(), asked.key);
    let of = Of::asked(&access, named, asked.sequence)?;
    let time = asked.time.as_deref().map(|time| time.parse::<Timestamp>()).transpose()?;
    if time.is_some() && asked.sequence.is_some() {
        return Err(invalid("time", "can't be combined with a sequence: give one of them"));
    }
    if asked.recorded && time.is_none() {
        return Err(invalid("recorded", "goes with a time"));
    }
    let time = time.map(|time| (time, asked.recorded));
    app.read(access.token().clone(), move |store| {
        let Some(of) = of else {
            let infos = infos(store)?;
            let info = infos.iter().find(|info| info.name == name);
            let info = info.ok_or_else(|| Error::not_found("projection", name.escape_debug()))?;
            return Answer::of(&told(info, &access)?);
        };
        let states = states(store, &name)?;
        let reading = reading(store, &states, of, time)?;
        Answer::of(&wire::State::new(states.name(), &reading))
    })
    .await
}

/// Show the changes of a state: each event that changed it, and the state after it.
#[utoipa::path(get, path = "/v1/projections/{p}/history", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle"), Past),
    responses(
    (status = 200, description = "`changes`: as `retold state --history -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such projection, or no such state", body = Object, content_type = "application/problem+json"),
))]
async fn history(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Past>,
) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let named = (asked.session.as_deref(), asked.branch.as_deref(), asked.key);
    let of = Of::asked(&access, named, asked.sequence)?;
    let of = of.ok_or_else(|| invalid("session", "is missing: name a session, or a key"))?;
    let (limit, after) = (limit(asked.limit)?, asked.after.unwrap_or_default());
    app.read(access.token().clone(), move |store| {
        let states = states(store, &name)?;
        let (mut items, mut next) = (Items::new(limit), None);
        for change in changes(store, &states, of)? {
            let change = change?;
            let position = change.event.position().get();
            if position <= after {
                continue;
            }
            if items.is_full() {
                return items.named("changes", &next);
            }
            items.push(&StateChange::from(&change))?;
            next = Some(position);
        }
        items.named("changes", &None::<u64>)
    })
    .await
}

/// List the current states of a projection, by branch, session or key.
#[utoipa::path(get, path = "/v1/projections/{p}/list", tag = "projections",
    params(("p" = String, Path, description = "The projection", example = "lifecycle"), Names),
    responses(
    (status = 200, description = "`states`, each with what it is `of`; `next`: the `after` of the next page, or null", body = Object, content_type = "application/json"),
    (status = 403, description = "The states are by key, and the token is for some sessions", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no such projection", body = Object, content_type = "application/problem+json"),
))]
async fn keys(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Names>,
) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    app.read(access.token().clone(), move |store| {
        // Before anything is registered.
        let is_key = find(store, &name)?.scope() == StateScope::Key;
        if is_key {
            access.everywhere(Scope::Read)?;
        }
        let states = states(store, &name)?;
        let found = match is_key {
            true => states.top(limit + 1, |reading| asked.is_after(&reading.of), |a, b| a.of.cmp(&b.of))?,
            false => states
                .list_after(asked.after.as_deref(), limit + 1, |session| access.may(Scope::Read, session))?,
        };
        let (mut items, mut next) = (Items::new(limit), None);
        for reading in &found {
            if items.is_full() {
                return items.named("states", &next);
            }
            items.push(&wire::State::new(states.name(), reading))?;
            next = Some(reading.of.clone());
        }
        items.named("states", &None::<String>)
    })
    .await
}
