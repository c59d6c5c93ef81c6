//! Two branches of a session beside each other: what they have in common, pairs of events, the difference of a state.

use axum::extract::State;
use retold::event::{Address, Sequence};
use retold::store::Store;
use retold::wire::{Compared, Comparison};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, limit};
use super::known::states;
use crate::access::Access;
use crate::app::App;
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(diff))
}

/// What is compared.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Compare {
    /// A branch, `SESSION/BRANCH[@SEQ]`.
    left: String,
    /// Another branch of the session.
    right: String,
    /// The first sequence of the page.
    from: Option<u64>,
    /// Pairs of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
    /// Compare the states of this projection too.
    projection: Option<String>,
}

#[derive(Serialize)]
struct Head {
    #[serde(flatten)]
    comparison: Comparison,
    /// A JSON Patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Value>,
}

/// Compare two branches of a session.
#[utoipa::path(get, path = "/v1/diff", tag = "branches", params(Compare), responses(
    (status = 200, description = "`common`: the last sequence in common; `pairs`: events with the same sequence, as `retold diff -o json` has them; \
        `state`: the JSON Patch (RFC 6902) that makes the left state the right one, if a projection is named; `next`: the `from` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 400, description = "They are not branches of one session", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn diff(access: Access, app: State<App>, Asked(asked): Asked<Compare>) -> Result<Answer, Problem> {
    let (left, right): (Address, Address) = (asked.left.parse()?, asked.right.parse()?);
    access.session(Scope::Read, left.session())?;
    access.session(Scope::Read, right.session())?;
    let limit = limit(asked.limit)?;
    let from = Sequence::new(asked.from.unwrap_or_default());
    app.read(access.token().clone(), move |store| {
        compared(store, &left, &right, (from, limit), asked.projection.as_deref())
    })
    .await
}

fn compared(
    store: &Store,
    left: &Address,
    right: &Address,
    (from, limit): (Sequence, usize),
    projection: Option<&str>,
) -> Result<Answer, Problem> {
    let diff = store.diff(left, right)?;
    let state = projection
        .map(|name| states(store, name)?.diff_state(left, right).map_err(Problem::from))
        .transpose()?;
    let heads = ((left.place(), diff.left.get()), (right.place(), diff.right.get()));
    let comparison = Comparison::new(heads.0, heads.1, diff.common.get());
    let (mut items, mut next) = (Items::new(limit), None);
    for pair in diff.pairs.from(from) {
        let pair = pair?;
        if items.is_full() {
            next = Some(pair.sequence.get());
            break;
        }
        items.push(&Compared::from(&pair))?;
    }
    items.within(&Head { comparison, state }, "pairs", &next)
}
