//! Everything under `/v1` but events: a file for each noun.
//!
//! Handlers read requests with [`asked`] and [`crate::input`], check the token before they look at the store, and answer in
//! [`answer`]'s pages with the JSON that the command line prints.

mod annotations;
mod answer;
mod asked;
mod backup;
mod branches;
mod consumers;
mod dead_letters;
mod deliveries;
mod diff;
mod handed;
mod known;
mod leases;
mod projections;
mod rebuild;
mod retention;
mod search;
mod sessions;
mod show;
mod stats;
mod timeline;
mod timers;
mod types;
mod verbs;
mod whose;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes, each with its documentation.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(sessions::routes())
        .merge(branches::routes())
        .merge(verbs::routes())
        .merge(diff::routes())
        .merge(show::routes())
        .merge(timeline::routes())
        .merge(search::routes())
        .merge(projections::routes())
        .merge(rebuild::routes())
        .merge(annotations::routes())
        .merge(consumers::routes())
        .merge(deliveries::routes())
        .merge(dead_letters::routes())
        .merge(timers::routes())
        .merge(leases::routes())
        .merge(types::routes())
        .merge(retention::routes())
        .merge(backup::routes())
        .merge(stats::routes())
}
