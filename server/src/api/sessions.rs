//! Sessions: a list like that of `retold ls`, one card, and their end.

use axum::extract::State;
use retold::agents::projections::Board;
use retold::agents::projections::sessions::SessionQuery;
use retold::event::NamePattern;
use retold::lifecycle::Removal;
use retold::wire::SessionCard;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, limit};
use super::branches::{Preview, preview};
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::{InPath, past, session};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(unhurried(routes!(delete)))
}

/// Which sessions are listed, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// `next` of the page before, or the name of a session: those that come after it in this order.
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
    sort: Option<String>,
    /// The other way round.
    reverse: bool,
    /// Go by when events were recorded, not by when they happened.
    recorded: bool,
}

impl Listing {
    fn query(&self) -> Result<SessionQuery, Problem> {
        let mut query = SessionQuery::new().limit(limit(self.limit)?);
        if let Some(sort) = &self.sort {
            query = query.sort(sort.parse()?);
        }
        for status in &self.status {
            query = query.status(status.parse()?);
        }
        for label in &self.label {
            query = query.label(label.parse()?);
        }
        if let Some(title) = &self.title {
            query = query.title(NamePattern::new(title)?);
        }
        if let Some(source) = &self.source {
            query = query.source(source);
        }
        if let Some(since) = &self.since {
            query = query.since(past("since", since)?);
        }
        if let Some(after) = &self.after {
            query = query.after(after.parse()?);
        }
        if self.recorded {
            query = query.recorded();
        }
        Ok(if self.reverse { query.reverse() } else { query })
    }
}

/// List sessions, each with its status, progress, tokens and labels.
///
/// Status and progress are those of the current branch; everything else is that of all branches, each event counted once. A token for some
/// sessions lists those. A session that gets another place while pages are read may be on two of them, or on none.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(Listing), responses(
    (status = 200, description = "`sessions`: cards as `retold ls -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 400, description = "`after` is of a list in another order", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no session `after`", body = Object, content_type = "application/problem+json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Listing>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let (limit, query) = (limit(asked.limit)?, asked.query()?);
    app.read(access.token().clone(), move |store| {
        let board = Board::new(store, store.catalogue())?;
        let page = board.list(&query, |session| access.may(Scope::Read, session))?;
        let (mut items, mut last) = (Items::new(limit), None);
        for listed in &page.sessions {
            if items.is_full() {
                return items.named("sessions", &last);
            }
            items.push(&SessionCard::from(&listed.card))?;
            last = Some(listed.mark.to_string());
        }
        items.named("sessions", &page.next.map(|next| next.to_string()))
    })
    .await
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
        let info = store.session(&session)?;
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

    #[test]
    fn a_listing_says_what_it_can_not_use() {
        let told = |asked: Listing| asked.query().unwrap_err().detail().to_owned();
        assert!(told(Listing { since: Some("soon".into()), ..Listing::default() }).contains("since"));
        assert!(told(Listing { status: vec!["asleep".into()], ..Listing::default() }).contains("abandoned"));
        assert!(told(Listing { sort: Some("size".into()), ..Listing::default() }).contains("tokens"));
        assert!(told(Listing { after: Some("a@b".into()), ..Listing::default() }).contains("after"));
    }
}
