//! Branches: a session's, one with its ancestry, forks, and their end.

use axum::extract::State;
use retold::error::Error;
use retold::event::{Address, BranchName, Sequence, SessionId};
use retold::lifecycle::{Removal, RemovalPreview};
use retold::store::{BranchInfo, Store, names};
use retold::wire::Branch;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, at, limit};
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::{InPath, branch, in_path, session};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, fork)).routes(routes!(one)).routes(unhurried(routes!(delete)))
}

/// A page of names.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Names {
    /// The last name of the page before.
    pub(crate) after: Option<String>,
    /// Items of a page, 1 to 1000; 100 unless it is given.
    pub(crate) limit: Option<usize>,
}

impl Names {
    pub(crate) fn is_after(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// Whether something is only looked at.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Preview {
    /// Say what would be removed, and change nothing.
    pub(crate) dry_run: bool,
}

/// Where a branch begins.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Fork {
    /// The name of the new branch.
    #[schema(example = "retry-2")]
    name: String,
    /// The last event that it shares with another branch; the head of main unless it is given.
    #[serde(default)]
    from: ForkPoint,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct ForkPoint {
    /// The branch; main unless it is given.
    #[schema(example = "main")]
    branch: Option<String>,
    /// The sequence; the head unless it is given.
    #[schema(example = 2)]
    sequence: Option<u64>,
}

/// List the branches of a session.
#[utoipa::path(get, path = "/v1/sessions/{s}/branches", tag = "branches",
    params(("s" = String, Path, description = "The session"), Names),
    responses(
    (status = 200, description = "`branches`: as `retold branches -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn list(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Names>,
) -> Result<Answer, Problem> {
    let (session, limit) = (session(&name)?, limit(asked.limit)?);
    access.session(Scope::Read, &session)?;
    let after = asked.after.as_deref().map(BranchName::new).transpose()?;
    app.call(move |store| {
        let found = page(store, &session, after.as_ref(), limit + 1)?;
        if found.is_empty() {
            store.session(&session)?;
        }
        let current = store.current(&session)?;
        let (mut items, mut next) = (Items::new(limit), None);
        for branch in &found {
            if items.is_full() {
                return items.named("branches", &next);
            }
            items.push(&Branch::new(branch, &current))?;
            next = Some(branch.place.branch.to_string());
        }
        items.named("branches", &None::<String>)
    })
    .await
}

/// The branches of a page: not all of a session that has many.
fn page(
    store: &Store,
    session: &SessionId,
    after: Option<&BranchName>,
    limit: usize,
) -> Result<Vec<BranchInfo>, Error> {
    let some = names::branches(store, session, after, limit)?;
    if some.is_cut {
        // So much was deleted in between that its names were not passed over.
        let all = store.branches(session)?.into_iter();
        let is_next = |name: &BranchName| after.is_none_or(|after| name.as_str() > after.as_str());
        return Ok(all.filter(|branch| is_next(&branch.place.branch)).take(limit).collect());
    }
    let mut found = Vec::with_capacity(some.names.len());
    for name in some.names {
        match store.branch(Address::new(session.clone(), BranchName::new(name)?)) {
            // It was deleted meanwhile.
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => {}
            branch => found.push(branch?),
        }
    }
    Ok(found)
}

/// Show a branch with its ancestry.
#[utoipa::path(get, path = "/v1/sessions/{s}/branches/{b}", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch")),
    responses(
    (status = 200, description = "The branch, and in `ancestry` each branch that its events are of, oldest first, with the first sequence there",
        body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
    (status = 410, description = "The branch was deleted", body = Object, content_type = "application/problem+json"),
))]
async fn one(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Read, branch.session())?;
    app.call(move |store| {
        let info = store.branch(&branch)?;
        let current = store.current(branch.session())?;
        let lines = store.ancestry(&branch)?;
        let lines =
            lines.iter().map(|(name, first)| json!({ "branch": name.as_str(), "first": first.get() }));
        let mut items = Items::new(usize::MAX);
        lines.take(retold::limits::MAX_FORK_DEPTH + 1).try_for_each(|line| items.push(&line))?;
        items.list_in(&Branch::new(&info, &current), "ancestry")
    })
    .await
}

/// Fork a branch: nothing is copied, whatever the length of its history.
#[utoipa::path(post, path = "/v1/sessions/{s}/branches", tag = "branches",
    params(("s" = String, Path, description = "The session")),
    request_body = Fork,
    responses(
    (status = 201, description = "The new branch; `Location` says where it is", body = Object, content_type = "application/json"),
    (status = 404, description = "There is nothing to fork there", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "There is such a branch", body = Object, content_type = "application/problem+json"),
))]
async fn fork(
    access: Access,
    app: State<App>,
    InPath(s): InPath<String>,
    Sent(sent): Sent<Fork>,
) -> Result<Answer, Problem> {
    let session = session(&s)?;
    access.session(Scope::Append, &session)?;
    let name = BranchName::new(&sent.name)?;
    let from = sent.from.branch.as_deref().map_or_else(|| Ok(BranchName::main()), BranchName::new)?;
    let from = at(Address::new(session, from), sent.from.sequence);
    app.call(move |store| {
        let made = store.fork(&from, name.as_str())?;
        let current = store.current(from.session())?;
        let location = format!("/v1/sessions/{}/branches/{}", in_path(&s), in_path(name.as_str()));
        Answer::of(&Branch::new(&made, &current)).map(|answer| answer.created(location))
    })
    .await
}

/// Delete a branch.
///
/// Its forks stay, and still read what they inherit. Deleting what is deleted is a 404 or 410.
#[utoipa::path(delete, path = "/v1/sessions/{s}/branches/{b}", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch"), Preview),
    responses(
    (status = 200, description = "`deleted`: the branch; with `dry_run` what would be removed", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
    (status = 410, description = "It was deleted", body = Object, content_type = "application/problem+json"),
))]
async fn delete(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Asked(asked): Asked<Preview>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Admin, branch.session())?;
    app.call(move |store| {
        let name = branch.place().to_string();
        if asked.dry_run {
            return preview(store, &Removal::Branch(branch), &name);
        }
        store.lifecycle().delete(&branch)?;
        Answer::of(&json!({ "deleted": name, "branches": 1 }))
    })
    .await
}

/// What would be removed, as `--dry-run` has it.
pub(crate) fn preview(store: &Store, removal: &Removal, name: &str) -> Result<Answer, Problem> {
    let RemovalPreview { branches, events, bytes, inherited, .. } = store.lifecycle().preview(removal)?;
    Answer::of(&json!({
        "would_remove": name, "branches": branches, "events": events, "bytes": bytes, "inherited": inherited,
    }))
}

/// The branch of a request that names its session, and maybe the branch: the current one unless it does.
pub(crate) fn shown(
    store: &Store,
    session: SessionId,
    branch: Option<BranchName>,
    sequence: Option<u64>,
) -> Result<Address, Error> {
    let branch = branch.map_or_else(|| store.current(&session), Ok)?;
    let address = Address::new(session, branch);
    Ok(match sequence {
        Some(sequence) => address.at(Sequence::new(sequence)),
        None => address,
    })
}
