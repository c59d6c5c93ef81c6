//! Sessions: a list like that of `retold ls`, one card, and their end.

use axum::extract::State;
use retold::agents::projections::Board;
use retold::error::Error;
use retold::event::{NamePattern, SessionId};
use retold::lifecycle::Removal;
use retold::limits::MAX_LISTING;
use retold::store::{SessionInfo, Store};
use retold::wire::SessionCard;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, limit};
use super::branches::{Preview, preview};
use super::listed::{Order, Sort, Wanted};
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, past, session};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, delete))
}

/// Which sessions are listed, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// The last session of the page before.
    after: Option<String>,
    /// Sessions of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
    /// Only sessions with this status: created, running, paused, waiting, completed, failed, stopped, cancelled, deleted,
    /// abandoned, or none. May come more than once, for any of them.
    status: Vec<String>,
    /// Only sessions with this label, `KEY` or `KEY=VALUE`. May come more than once, for all of them.
    label: Vec<String>,
    /// Only sessions whose title matches this glob, with `*` and `?`.
    title: Option<String>,
    /// Only sessions with an event of this source.
    source: Option<String>,
    /// Only sessions in which something happened since this time, or in the last `15m`, `7d`.
    since: Option<String>,
    /// `last` (the default), `tokens`, `cost`, `events`, `errors` (most first), `age` (oldest first) or `name`.
    sort: Option<Sort>,
    /// The other way round.
    reverse: bool,
    /// Go by when events were recorded, not by when they happened.
    recorded: bool,
}

impl Listing {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let title = self.title.as_deref().map(NamePattern::new).transpose()?;
        let since = self.since.as_deref().map(|since| past("since", since)).transpose()?;
        Wanted::new(&self.status, &self.label, title, self.source.clone(), since)
    }
}

/// List sessions, each with its status, progress, tokens and labels.
///
/// Status and progress are those of the current branch; everything else is that of all branches, each event counted once. A token for some
/// sessions lists those.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(Listing), responses(
    (status = 200, description = "`sessions`: cards as `retold ls -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no session `after`", body = Object, content_type = "application/problem+json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Listing>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let (limit, wanted) = (limit(asked.limit)?, asked.wanted()?);
    let after = asked.after.as_deref().map(SessionId::new).transpose()?;
    let order = Order::new(asked.sort.unwrap_or_default(), asked.reverse, asked.recorded);
    app.call(move |store| page(store, &access, &wanted, order, after, limit)).await
}

fn page(
    store: &Store,
    access: &Access,
    wanted: &Wanted,
    order: Order,
    after: Option<SessionId>,
    limit: usize,
) -> Result<Answer, Problem> {
    let board = Board::new(store, store.catalogue())?;
    let after = match after {
        // The order of names needs no look at the one before.
        Some(after) if order.is_by_name() => Some(order.named(after)),
        Some(after) => {
            let seen = if access.may(Scope::Read, &after) { info(store, &after)? } else { None };
            let Some(info) = seen else { return Err(Error::not_found("session", after).into()) };
            Some(order.place(info, &board)?)
        }
        None => None,
    };
    let mut found = Vec::new();
    let mut last =
        if order.is_forward_by_name() { after.as_ref().map(|after| after.session().clone()) } else { None };
    'pages: loop {
        let sessions = store.sessions(last.as_ref(), MAX_LISTING)?;
        let Some(end) = sessions.last() else { break };
        last = Some(end.session.clone());
        for info in sessions.into_iter().filter(|info| access.may(Scope::Read, &info.session)) {
            // What is deleted meanwhile is not there.
            let Some(listed) = wanted.listed(info, order, &board, store)? else { continue };
            if after.as_ref().is_none_or(|after| listed.is_after(after)) {
                found.push(listed);
            }
            if order.is_forward_by_name() && found.len() > limit {
                break 'pages;
            }
        }
        order.first(&mut found, limit + 1);
    }
    order.first(&mut found, limit + 1);
    let (mut items, mut next, mut has_more) = (Items::new(limit), None, false);
    for listed in found {
        if items.is_full() {
            has_more = true;
            break;
        }
        let card = listed.card(&board)?;
        items.push(&SessionCard::from(&card))?;
        next = Some(card.info.session.to_string());
    }
    items.named("sessions", &next.filter(|_| has_more))
}

/// What the store knows about one session.
pub(crate) fn info(store: &Store, session: &SessionId) -> Result<Option<SessionInfo>, Problem> {
    // A list begins after a name: the one that is right before this one, or close to it.
    let mut after = before(session);
    loop {
        let page = store.sessions(after.as_ref(), 2)?;
        let Some(end) = page.last().map(|info| info.session.clone()) else { return Ok(None) };
        let is_past = end.as_str() >= session.as_str();
        match page.into_iter().find(|info| info.session == *session) {
            Some(info) => return Ok(Some(info)),
            None if is_past => return Ok(None),
            None => after = Some(end),
        }
    }
}

/// A name before another, with hardly any between them; `None` when only the empty one is.
fn before(session: &SessionId) -> Option<SessionId> {
    let mut name = session.as_str().to_owned();
    let last = name.pop()?;
    let lower = (0..u32::from(last)).rev().filter_map(char::from_u32);
    // Signs that no name has are few.
    let lower = lower.take(0x900).map(|c| format!("{name}{c}\u{10ffff}"));
    lower.filter_map(|name| SessionId::new(name).ok()).next().or_else(|| SessionId::new(name).ok())
}

/// Show one session, as it is in the list.
#[utoipa::path(get, path = "/v1/sessions/{s}", tag = "sessions",
    params(("s" = String, Path, description = "The session", example = "run-7")),
    responses(
    (status = 200, description = "The card of the session", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn one(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.call(move |store| {
        let Some(info) = info(store, &session)? else {
            return Err(Error::not_found("session", session).into());
        };
        Answer::of(&SessionCard::from(&Board::new(store, store.catalogue())?.card(&info)?))
    })
    .await
}

/// Delete a session with all its branches.
///
/// Its name and the ids of its events can be used again. Deleting what is deleted is a 404.
#[utoipa::path(delete, path = "/v1/sessions/{s}", tag = "sessions",
    params(("s" = String, Path, description = "The session"), Preview),
    responses(
    (status = 200, description = "`deleted`: the session, `branches`: how many; with `dry_run` what would be removed", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn delete(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Preview>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Admin, &session)?;
    app.call(move |store| {
        if asked.dry_run {
            return preview(store, &Removal::Session(session), &name);
        }
        let branches = store.lifecycle().delete_session(&session)?;
        Answer::of(&json!({ "deleted": name, "branches": branches }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::NewEvent;

    #[test]
    fn a_session_is_found_among_those_with_names_like_its() {
        let store = Store::in_memory().unwrap();
        let names = [
            "a",
            "a ",
            "a b",
            "b",
            "run-1",
            "run-7",
            "run-70",
            "run-7\u{10ffff}",
            "run-6\u{10ffff}z",
            "!",
            "\u{800}",
        ];
        for name in names {
            store.append(name, NewEvent::new("step.done")).unwrap();
        }
        for name in names {
            let found = info(&store, &SessionId::new(name).unwrap()).unwrap();
            assert_eq!(found.map(|info| info.session.to_string()).as_deref(), Some(name));
        }
        for name in ["run-", "run-71", "c", " ", "\u{10ffff}", "\u{e000}"] {
            assert!(info(&store, &SessionId::new(name).unwrap()).unwrap().is_none(), "{name:?}");
        }
    }

    #[test]
    fn a_listing_says_what_it_can_not_use() {
        let asked = Listing { since: Some("soon".into()), ..Listing::default() };
        assert!(asked.wanted().unwrap_err().detail().contains("since"));
        let asked = Listing { status: vec!["nonsense".into()], ..Listing::default() };
        assert!(asked.wanted().unwrap_err().detail().contains("abandoned"));
    }
}
