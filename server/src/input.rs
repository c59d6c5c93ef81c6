//! What requests have in common: names in paths, and parameters.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use retold::event::{Address, BranchName, SessionId};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// The session of a path.
pub(crate) fn session(name: &str) -> Result<SessionId, Problem> {
    Ok(SessionId::new(name)?)
}

/// The branch of a path.
pub(crate) fn branch(session: &str, branch: &str) -> Result<Address, Problem> {
    Ok(Address::new(SessionId::new(session)?, BranchName::new(branch)?))
}

/// Parts of the path, decoded. What can't be read is a problem.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(of)| Self(of)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// Parameters after the `?`. Unknown ones are refused where the type denies unknown fields: a slip is told, not passed over.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(of)| Self(of)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}
