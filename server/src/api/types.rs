//! The catalogue: what types there are, what they mean, how often they came, and whether a payload fits.

use axum::extract::State;
use retold::agents::projections::{Coverage, Covered};
use retold::error::Error;
use retold::event::{Catalogue, TypeInfo};
use retold::wire::{Type, TypeCoverage};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, limit};
use crate::access::Access;
use crate::app::App;
use crate::input::InPath;
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(schema))
        .routes(routes!(validate))
}

/// Which types are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// Only types of this domain.
    domain: Option<String>,
    /// How often each was recorded in the store, instead of what it means. Needs a token for all sessions.
    coverage: bool,
    /// The last type of the page before.
    after: Option<String>,
    /// Types of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
}

/// List the types of the catalogue, or how often each was recorded.
#[utoipa::path(get, path = "/v1/types", tag = "types", params(Listing), responses(
    (status = 200, description = "`types`: as `retold types -o json` has them, or with `coverage` as `retold types --coverage -o json`; \
        `next`: the `after` of the next page, or null", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such domain, or no type `after`", body = Object, content_type = "application/problem+json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Listing>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    if asked.coverage {
        access.everywhere(Scope::Read)?;
    }
    let limit = limit(asked.limit)?;
    app.read(access.token().clone(), move |store| {
        let catalogue = store.catalogue();
        let domain = asked.domain.as_deref();
        let domains: Vec<&str> = catalogue
            .domains()
            .into_iter()
            .filter(|known| domain.is_none_or(|asked| asked == *known))
            .collect();
        if let (true, Some(asked)) = (domains.is_empty(), domain) {
            return Err(Error::not_found("domain", asked).into());
        }
        if !asked.coverage {
            let mut types: Vec<&TypeInfo> = Vec::new();
            for domain in domains {
                types.extend(catalogue.types().filter(|t| t.domain() == domain));
            }
            return page(
                &types,
                asked.after.as_deref(),
                limit,
                |t| t.name().to_owned(),
                |items, t| items.push(&Type::from(*t)),
            );
        }
        let mut report = store.project(Coverage)?.coverage(catalogue)?;
        if let Some(domain) = domain {
            report.types.retain(|t| t.domain == domain);
            report.unknown.clear();
        }
        let known = report.types.iter().map(|t| (t, true)).chain(report.unknown.iter().map(|t| (t, false)));
        let types: Vec<(&Covered, bool)> = known.collect();
        let name = |(covered, _): &(&Covered, bool)| covered.name.clone();
        page(&types, asked.after.as_deref(), limit, name, |items, (covered, known)| {
            items.push(&TypeCoverage::new(covered, *known))
        })
    })
    .await
}

/// The items after the one with a name, in the order that they have.
fn page<T>(
    all: &[T],
    after: Option<&str>,
    limit: usize,
    name: impl Fn(&T) -> String,
    push: impl Fn(&mut Items, &T) -> Result<(), Problem>,
) -> Result<Answer, Problem> {
    let from = match after {
        None => 0,
        Some(after) => match all.iter().position(|item| name(item) == after) {
            Some(at) => at + 1,
            None => return Err(Error::not_found("type", after).into()),
        },
    };
    let (mut items, mut next) = (Items::new(limit), None);
    for (at, item) in all.iter().enumerate().skip(from) {
        push(&mut items, item)?;
        if items.is_full() {
            next = Some(name(item)).filter(|_| at + 1 < all.len());
            break;
        }
    }
    items.named("types", &next)
}

fn found<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a TypeInfo, Error> {
    catalogue.find(name).ok_or_else(|| {
        let near = catalogue.nearest(name).map(|near| format!("; did you mean {near}?"));
        Error::not_found("type", format!("{}{}", name.escape_debug(), near.unwrap_or_default()))
    })
}

/// Explain a type, by any of its names.
#[utoipa::path(get, path = "/v1/types/{t}", tag = "types",
    params(("t" = String, Path, description = "The type, by any of its names", example = "tool.invoked")),
    responses(
    (status = 200, description = "The type with its role, example and schema", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such type", body = Object, content_type = "application/problem+json"),
))]
async fn one(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    app.call(move |store| Answer::of(&Type::whole(found(store.catalogue(), &name)?))).await
}

/// The JSON Schema of a type's payload.
#[utoipa::path(get, path = "/v1/types/{t}/schema", tag = "types",
    params(("t" = String, Path, description = "The type, by any of its names", example = "tool.invoked")),
    responses(
    (status = 200, description = "The schema", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such type, or it has no schema", body = Object, content_type = "application/problem+json"),
))]
async fn schema(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    app.call(move |store| {
        let info = found(store.catalogue(), &name)?;
        let schema = info.schema().ok_or_else(|| Error::not_found("schema of type", info.name()))?;
        Answer::of(&*schema)
    })
    .await
}

/// Say whether a payload fits the schema of a type.
#[utoipa::path(post, path = "/v1/types/{t}/validate", tag = "types",
    params(("t" = String, Path, description = "The type", example = "tool.invoked")),
    request_body(content = Object, description = "The payload", content_type = "application/json"),
    responses(
    (status = 200, description = "`valid`, and if it is not, the `reason`", body = Object, content_type = "application/json"),
    (status = 404, description = "The type has no schema", body = Object, content_type = "application/problem+json"),
))]
async fn validate(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(payload): Sent<Value>,
) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    app.call(move |store| match store.schemas().validate(&name, &payload) {
        Ok(()) => Answer::of(&json!({ "valid": true })),
        Err(Error::Invalid(invalid)) if invalid.field == "data" => {
            Answer::of(&json!({ "valid": false, "reason": invalid.reason }))
        }
        Err(error) => Err(error.into()),
    })
    .await
}
