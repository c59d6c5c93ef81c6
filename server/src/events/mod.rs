//! Events over HTTP: appended, read, followed.
//!
//! In: `intake` makes events of a request's body in any of the formats (`binary` for those whose
//! attributes are headers), `append` and `append_many` record them. Out: `feed` is what is read, `pick` which of it,
//! `asked` how; `page`, `lines` and `one` read it; `watch` follows it for `sse`, for `ag_ui` and for the subscriptions of
//! `web_socket`, and waits for its `turn`. Where readers are, `page_cursor` and `line_cursor` say, under a `seal`.

mod ag_ui;
mod ag_ui_feed;
mod append;
mod append_many;
mod asked;
mod binary;
mod feed;
mod form;
mod intake;
mod line_cursor;
mod lines;
mod one;
mod page;
mod page_cursor;
mod pick;
mod read;
mod receipt;
mod seal;
mod single;
mod sse;
mod stuck;
mod subscriptions;
mod turn;
mod watch;
mod web_messages;
mod web_socket;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes of events.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::branch_events, append::append))
        .routes(routes!(ag_ui::ag_ui))
        .routes(routes!(one::event_at))
        .routes(routes!(read::session_events))
        .routes(routes!(read::all_events))
        .routes(routes!(one::event_of_id))
        .routes(routes!(append_many::append_many))
        .routes(routes!(web_socket::live))
}
