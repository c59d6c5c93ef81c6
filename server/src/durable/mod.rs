//! Durable Streams: the open protocol of this name, over branches of sessions.
//!
//! A stream is a branch whose events of the type `stream.data` are its data. `record` is what is kept beside it, `directory`
//! finds streams by their paths and knows which are gone; `path`, `offset`, `asked` and `producer` read requests, `payloads`
//! makes events of a body. `create` with `fork` makes streams, `append` writes to them, `read` reads them; `live` waits for what
//! comes, for `long_poll` and `sse`. `answer` and `collapse` write headers; `put`, `post`, `get` and `delete` are the routes.

mod answer;
mod append;
mod asked;
mod collapse;
mod create;
pub(crate) mod delete;
mod directory;
mod fork;
pub(crate) mod get;
mod live;
mod long_poll;
mod offset;
mod path;
mod payloads;
pub(crate) mod post;
mod producer;
pub(crate) mod put;
mod read;
mod record;
mod refusals;
mod sse;

use axum::Router;
use axum::routing::MethodRouter;

use crate::app::App;

/// The routes of streams.
pub(crate) fn routes() -> Router<App> {
    let methods = MethodRouter::new().put(put::put).post(post::post).delete(delete::delete);
    Router::new().route("/v1/stream/{*path}", methods.get(get::get).head(get::head))
}
