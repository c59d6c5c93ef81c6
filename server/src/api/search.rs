//! Finding events by what they say. A token for some sessions finds what is in those, as if there were no others; only the order of what it
//! finds depends on how often others say a word.

use axum::extract::State;
use retold::agents::search::{Hit, SearchRequest};
use retold::event::finding::FilterText;
use retold::event::{Catalogue, Filter, SessionId};
use retold::limits::{MAX_SEARCH_HITS, SEARCH_HITS};
use retold::store::Store;
use retold::wire::SearchHit;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::Asked;
use super::show::Who;
use crate::access::Access;
use crate::app::App;
use crate::input::invalid;
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search))
}

/// What is searched for, and where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Words, `"phrases"`, `beginnings*`, alternatives with `OR`, and what must not be there: `-word`.
    #[param(required, example = "login timeout")]
    q: String,
    /// Only in this session.
    session: Option<String>,
    /// Only what these say: user, assistant, thinking, tool or system. May come more than once.
    speaker: Vec<Who>,
    /// Events of a page, 1 to 1000; 10 unless it is given.
    limit: Option<usize>,
    /// Leave out this many of the best: `next` of the page before.
    offset: Option<usize>,
    /// Only types that match this glob. May come more than once, for any of them.
    r#type: Vec<String>,
    /// Only events of this source.
    source: Option<String>,
    /// Only events of this actor.
    actor: Option<String>,
    /// Only events of this correlation.
    correlation: Option<String>,
    /// Only events of at least this priority.
    priority: Option<u8>,
    /// Only events with this metadata, `KEY=VALUE`. May come more than once, for all of them.
    meta: Vec<String>,
    /// Only events whose payload passes this test, as in `/tool == "cargo"`. May come more than once, for all of them.
    r#where: Vec<String>,
    /// Only events that occurred at or after this time, or in the last `15m`, `7d`.
    since: Option<String>,
    /// Only events that occurred before this time, or longer ago than this.
    until: Option<String>,
}

impl Wanted {
    fn filter(&self, catalogue: &Catalogue) -> Result<Filter, Problem> {
        let mut text = FilterText::default();
        text.kinds.clone_from(&self.r#type);
        text.tests.clone_from(&self.r#where);
        text.source.clone_from(&self.source);
        text.actor.clone_from(&self.actor);
        text.correlation.clone_from(&self.correlation);
        text.since.clone_from(&self.since);
        text.until.clone_from(&self.until);
        text.priority = self.priority;
        for pair in &self.meta {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(invalid("meta", format!("`{pair}` is not KEY=VALUE")));
            };
            text.meta.push((key.to_owned(), value.to_owned()));
        }
        Ok(text.filter(catalogue)?)
    }

    fn request(&self, session: Option<SessionId>, catalogue: &Catalogue) -> Result<SearchRequest, Problem> {
        let speakers = self.speaker.iter().flat_map(|who| who.speakers()).copied();
        let request = SearchRequest::new(&self.q).speakers(speakers).filter(self.filter(catalogue)?);
        Ok(match session {
            Some(session) => request.session(session),
            None => request,
        })
    }
}

/// Find events by what they say.
///
/// Case and accents do not count. With a token for some sessions, `score`, `up_to` and `unread` are left out: they depend on what is in
/// others. How much a word weighs in the order of the hits does too.
#[utoipa::path(get, path = "/v1/search", tag = "search", params(Wanted), responses(
    (status = 200, description = "`hits`: the best first, as `retold search -o json` has them, each with a `snippet` and in `marks` where in it, in bytes of \
        UTF-8, what was found begins and ends; `next`: the `offset` of the next page, or null; `up_to`: everything up to this position was looked through; \
        `unread`: events that could not be read", body = Object, content_type = "application/json"),
    (status = 400, description = "There is no word to search for", body = Object, content_type = "application/problem+json"),
))]
async fn search(access: Access, app: State<App>, Asked(asked): Asked<Wanted>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let session = asked.session.as_deref().map(SessionId::new).transpose()?;
    if let Some(session) = &session {
        access.session(Scope::Read, session)?;
    }
    let limit = match asked.limit.unwrap_or(SEARCH_HITS) {
        limit @ 1..=MAX_SEARCH_HITS => limit,
        limit => return Err(invalid("limit", format!("is {limit}; use 1 to {MAX_SEARCH_HITS}"))),
    };
    let offset = asked.offset.unwrap_or_default();
    app.read(access.token().clone(), move |store| {
        let request = asked.request(session, store.catalogue())?;
        page(store, &access, request, (limit, offset))
    })
    .await
}

fn page(
    store: &Store,
    access: &Access,
    request: SearchRequest,
    (limit, offset): (usize, usize),
) -> Result<Answer, Problem> {
    let is_whole = access.everywhere(Scope::Read).is_ok();
    let request = match &access.token().sessions {
        Some(sessions) => request.sessions(sessions.clone()),
        None => request,
    };
    let found = store.search().find(&request.limit(limit).offset(offset))?;
    let (mut items, mut given) = (Items::new(limit), offset);
    for hit in &found.hits {
        if items.is_full() {
            break;
        }
        match is_whole {
            true => items.push(&SearchHit::from(hit))?,
            false => items.push(&unscored(hit)?)?,
        }
        given += 1;
    }
    let has_more = found.more || given < offset.saturating_add(found.hits.len());
    let next = Some(given).filter(|_| has_more);
    match is_whole {
        true => {
            let head = json!({ "up_to": found.up_to.get(), "unread": found.unread });
            items.within(&head, "hits", &next)
        }
        false => items.named("hits", &next),
    }
}

/// A hit without its score, which tells how often words are said elsewhere.
fn unscored(hit: &Hit) -> Result<Map<String, Value>, Problem> {
    let text = Answer::of(&SearchHit::from(hit))?;
    let mut members: Map<String, Value> = serde_json::from_str(text.text()).map_err(|e| {
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string())
    })?;
    members.remove("score");
    Ok(members)
}
