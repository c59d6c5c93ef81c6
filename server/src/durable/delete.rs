//! `DELETE`: a stream goes, and its path is free at once unless forks of it are there.

use axum::extract::State;
use axum::http::StatusCode;

use super::directory::{Directory, Found};
use super::path::StreamPath;
use super::refusals::{deleted, missing};
use crate::access::Access;
use crate::app::App;
use crate::input::InPath;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Deletes a stream with its data. What forks of it have of that stays theirs.
#[utoipa::path(
    delete, path = "/v1/stream/{path}", tag = "streams",
    params(("path" = String, Path, description = "The stream")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404), (status = 405, description = "The stream is a session"),
        (status = 410, description = "It was deleted before, and forks of it are there"),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    access: Access,
    InPath(path): InPath<String>,
) -> Result<StatusCode, Problem> {
    let path = StreamPath::parse(&path)?.writable(Scope::Admin, &access)?;
    let _turn = app.turns().take(&path).await;
    app.call(move |store| {
        let of = Directory::of(store)?;
        match of.find(&path)? {
            Found::Live(live) => Ok(of.delete(*live)?),
            Found::Gone => Err(deleted()),
            Found::Nothing(_) => Err(missing()),
        }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
