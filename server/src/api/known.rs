//! The projections that the server knows by name.

use std::sync::Arc;

use axum::http::StatusCode;
use retold::agents::projections;
use retold::error::Error;
use retold::project::{DynProjection, Projected};
use retold::store::Store;
use serde_json::Value;

use crate::problem::Problem;

/// Its states come as JSON.
pub(crate) type States = Projected<Value>;

/// The projection with this name.
pub(crate) fn find(store: &Store, name: &str) -> Result<Arc<dyn DynProjection>, Problem> {
    let found = projections::all(store.catalogue()).into_iter().find(|p| p.name() == name);
    Ok(found.ok_or_else(|| Error::not_found("projection", name))?.into())
}

/// The states of a projection, to be read.
pub(crate) fn states(store: &Store, name: &str) -> Result<States, Problem> {
    let projection = find(store, name)?;
    // To read one that raises events would start it: who may read would append.
    if projection.reacts() && !is_running(store, name)? {
        let detail = format!(
            "the projection {name} raises events, and no program runs it: who reads it would start it; \
             POST /v1/projections/{name}/rebuild does"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "not-running", detail));
    }
    Ok(store.project_dyn(projection)?)
}

fn is_running(store: &Store, name: &str) -> Result<bool, Problem> {
    match store.projections().info(name) {
        Err(Error::NotFound { .. }) => Ok(false),
        found => found.map(|info| info.running).map_err(Problem::from),
    }
}
