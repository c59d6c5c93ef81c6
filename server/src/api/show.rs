//! What was said: the messages of a branch, as people read them.

use axum::extract::State;
use retold::agents::readable::{Readable, ToldOnce};
use retold::event::BranchName;
use retold::event::roles::Speaker;
use retold::store::{Query, Store};
use retold::wire::TranscriptEntry;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, limit};
use super::branches::shown;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, branch, session};
use crate::problem::Problem;
use crate::tokens::Scope;

/// Events before a page that are looked at for what they tell of the same message: the records of one follow each other closely.
const BEFORE: u64 = 256;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_session)).routes(routes!(of_branch))
}

/// Events that a page looks at: one of a speaker who says nothing ends too.
const LOOKED_AT: u64 = 10_000;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    User,
    Assistant,
    Thinking,
    Tool,
    System,
}

impl Who {
    pub(crate) fn speakers(self) -> &'static [Speaker] {
        match self {
            Self::User => &[Speaker::User],
            Self::Assistant => &[Speaker::Assistant],
            Self::Thinking => &[Speaker::Thinking],
            Self::Tool => &[Speaker::ToolCall, Speaker::ToolResult],
            Self::System => &[Speaker::System],
        }
    }
}

/// Which part of a transcript.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// The first sequence of the page.
    from: Option<u64>,
    /// The last sequence that is looked at; the head unless it is given.
    sequence: Option<u64>,
    /// Entries of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
    /// Only what these say: user, assistant, thinking, tool or system. May come more than once.
    speaker: Vec<Who>,
    /// All other events too.
    events: bool,
}

/// Show what was said on the current branch of a session.
///
/// A page looks at 10,000 events at the most: it may have fewer entries than its limit, or none, and a `next` all the same.
#[utoipa::path(get, path = "/v1/sessions/{s}/show", tag = "sessions",
    params(("s" = String, Path, description = "The session"), Part),
    responses(
    (status = 200, description = "`entries`: as `retold show -o json` has them; `next`: the `from` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn of_session(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Part>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    let limit = limit(asked.limit)?;
    app.read(access.token().clone(), move |store| entries(store, (session, None), &asked, limit)).await
}

/// Show what was said on a branch.
///
/// A page looks at 10,000 events at the most: it may have fewer entries than its limit, or none, and a `next` all the same.
#[utoipa::path(get, path = "/v1/sessions/{s}/branches/{b}/show", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch"), Part),
    responses(
    (status = 200, description = "`entries`: as `retold show -o json` has them; `next`: the `from` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn of_branch(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Asked(asked): Asked<Part>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Read, branch.session())?;
    let limit = limit(asked.limit)?;
    let of = (branch.session().clone(), Some(branch.branch().clone()));
    app.read(access.token().clone(), move |store| entries(store, of, &asked, limit)).await
}

fn entries(
    store: &Store,
    (session, branch): (retold::event::SessionId, Option<BranchName>),
    asked: &Part,
    limit: usize,
) -> Result<Answer, Problem> {
    let address = shown(store, session, branch, asked.sequence)?;
    let left = first_left(store, &address)?;
    let (catalogue, from) = (store.catalogue(), asked.from.unwrap_or(1).max(left));
    let wanted: Vec<Speaker> = asked.speaker.iter().flat_map(|who| who.speakers()).copied().collect();
    let first = left.max(from.saturating_sub(BEFORE));
    let (mut told, mut items, mut next) = (ToldOnce::default(), Items::new(limit), None);
    for event in store.events(Query::branch(&address)?.from(first))? {
        let event = event?;
        let sequence = event.sequence().get();
        if sequence >= from.saturating_add(LOOKED_AT) {
            next = Some(sequence);
            break;
        }
        let mut readable = Readable::of(&event, catalogue);
        if !wanted.is_empty() {
            readable.parts.retain(|part| wanted.contains(&part.speaker));
        }
        if !asked.events && readable.parts.is_empty() {
            continue;
        }
        if items.is_full() {
            next = Some(sequence);
            break;
        }
        told.leave_new(&event, catalogue, &mut readable.usage);
        if sequence >= from {
            items.push(&TranscriptEntry::new(&event, &readable))?;
        }
    }
    items.named("entries", &next)
}

/// The first sequence that a branch still has.
fn first_left(store: &Store, address: &retold::event::Address) -> Result<u64, Problem> {
    let place = retold::event::Address::from(address.place().clone());
    Ok(store.branch(place)?.first.get().max(1))
}
