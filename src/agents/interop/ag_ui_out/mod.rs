//! Sessions as event streams of AG-UI, for clients of that protocol (`@ag-ui/core` 1.0): the way back from
//! [`ag_ui`](super::ag_ui), for events of every source.
//!
//! `record` is one of their events, `open` what a stream has begun and not ended, `said` the messages of it, `lines` what is
//! written; `state` is the state of a projection, `own` and `calls` which of our events is which of theirs, and `stream` puts
//! them together.

mod calls;
mod export;
mod lines;
mod open;
mod own;
mod payload;
mod record;
mod said;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub use export::export_ag_ui;
pub use stream::AgUi;
