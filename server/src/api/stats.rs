//! Figures: of the store, of a session, and of everything that is known about a branch at once.

use axum::extract::State;
use retold::agents::projections::{Board, Figures, Stats};
use retold::error::{Error, Result};
use retold::event::{Address, Event, Timestamp};
use retold::limits::MAX_LISTING;
use retold::store::{Query, SessionInfo, Store};
use retold::wire::{Described, StoreFigures, StoreStats};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::{Asked, at};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, branch, invalid, session};
use crate::problem::Problem;
use crate::tokens::Scope;

/// How many of the largest sessions are told.
const LARGEST: usize = 12;
/// How many of the last events are told.
const LAST: usize = 8;
const MOST_LAST: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(of_store))
        .routes(routes!(of_session))
        .routes(routes!(describe))
        .routes(routes!(info))
}

/// Statistics of the store: events per type and per minute, the largest sessions. Needs a token for all sessions.
#[utoipa::path(get, path = "/v1/stats", tag = "store", responses(
    (status = 200, description = "As `retold stats -o json` has it", body = Object, content_type = "application/json"),
    (status = 403, description = "The token is for some sessions", body = Object, content_type = "application/problem+json"),
))]
async fn of_store(access: Access, app: State<App>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    app.read(access.token().clone(), |store| {
        let figures = match store.project(Stats::of_the_store())?.state_of(Stats::STORE) {
            // No events.
            Err(Error::NotFound { .. }) => Figures::default(),
            found => found?,
        };
        let (sessions, largest) = largest(store)?;
        Answer::of(&StoreStats::new(sessions, figures.per_minute(Timestamp::now()), &figures, &largest))
    })
    .await
}

/// The number of sessions, and those with the most events.
fn largest(store: &Store) -> Result<(u64, Vec<SessionInfo>)> {
    let (mut all, mut largest): (u64, Vec<SessionInfo>) = (0, Vec::new());
    let mut last = None;
    loop {
        let page = store.sessions(last.as_ref(), MAX_LISTING)?;
        let Some(end) = page.last() else { return Ok((all, largest)) };
        last = Some(end.session.clone());
        all += page.len() as u64;
        largest.extend(page);
        largest.sort_by_key(|session| std::cmp::Reverse(session.events));
        largest.truncate(LARGEST);
    }
}

/// Statistics of a session, over all its branches.
#[utoipa::path(get, path = "/v1/sessions/{s}/stats", tag = "sessions",
    params(("s" = String, Path, description = "The session")),
    responses(
    (status = 200, description = "As `retold stats SESSION -o json` has it", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn of_session(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.read(access.token().clone(), move |store| {
        let figures = store.project(Stats::of_sessions())?.state(session.as_str())?;
        Answer::of(&StoreStats::new(1, figures.per_minute(Timestamp::now()), &figures, &[]))
    })
    .await
}

/// When, and with how many events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct When {
    /// After this sequence; at the head unless it is given.
    sequence: Option<u64>,
    /// How many of the latest events to add, 0 to 100; 8 unless it is given.
    events: Option<usize>,
}

/// Describe a branch: status, progress, entities, resources, labels, notes, branches and the last events.
#[utoipa::path(get, path = "/v1/sessions/{s}/branches/{b}/describe", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch"), When),
    responses(
    (status = 200, description = "As `retold describe -o json` has it", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch or event", body = Object, content_type = "application/problem+json"),
))]
async fn describe(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Asked(asked): Asked<When>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Read, branch.session())?;
    let events = match asked.events.unwrap_or(LAST) {
        events @ ..=MOST_LAST => events,
        events => return Err(invalid("events", format!("is {events}; use 0 to {MOST_LAST}"))),
    };
    app.read(access.token().clone(), move |store| {
        let board = Board::new(store, store.catalogue())?;
        let head = match asked.sequence {
            Some(sequence) => sequence,
            None => store.head(&branch)?.get(),
        };
        let place = Address::from(branch.place().clone());
        let address = at(branch, Some(head));
        let session = address.session();
        let glance = board.glance(&address)?;
        let figures = board.figures(session)?;
        let (branches, current) = (store.branches(session)?, store.current(session)?);
        let (spent, annotated) = (board.spent(session)?, board.annotated(session)?);
        let last = last(store, place, head, events)?;
        let described = Described::new(&address, &glance, &spent, &figures, (&branches, &current), &last);
        Answer::of(&described.annotated(&annotated))
    })
    .await
}

fn last(store: &Store, place: Address, head: u64, count: usize) -> Result<Vec<Event>> {
    if count == 0 || head == 0 {
        return Ok(Vec::new());
    }
    let first = store.branch(&place)?.first.get().max(head.saturating_sub(count as u64) + 1);
    store.events(Query::branch(place)?.from(first).to(head).limit(count))?.collect()
}

/// About the store and the server.
#[utoipa::path(get, path = "/v1/info", tag = "store", responses(
    (status = 200, description = "`server`: name and version; `store`: as `retold info -o json` has it, or with a token for some sessions its id, and when it \
        was created; `token`: what the token is called, its scope and the pattern of its sessions", body = Object, content_type = "application/json"),
))]
async fn info(access: Access, app: State<App>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let token = access.token();
    let token = json!({
        "name": token.name, "scope": token.scope.as_str(),
        "sessions": token.sessions.as_ref().map(|of| of.as_str()),
    });
    let server = json!({ "name": "retold", "version": env!("CARGO_PKG_VERSION") });
    let is_whole = access.everywhere(Scope::Read).is_ok();
    app.call(move |store| {
        if !is_whole {
            let of = json!({ "id": store.id().to_string(), "created": store.created().to_string() });
            return Answer::of(&json!({ "server": server, "token": token, "store": of }));
        }
        let (info, dead) = (store.maintenance().info()?, store.lifecycle().dead_space()?);
        let index = store.search().info()?;
        let figures = StoreFigures::from(&info).dead_space(dead).search_index(index.as_ref());
        Answer::of(&json!({ "server": server, "token": token, "store": figures }))
    })
    .await
}
