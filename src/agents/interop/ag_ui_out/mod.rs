//! Sessions as event streams of AG-UI, for clients of that protocol (`@ag-ui/core` 1.0): the way back from
//! [`ag_ui`](super::ag_ui), for events of every source.
//!
//! `record` is one of their events, `open` what a stream has begun and not ended, `said` the messages of it, `state` the
//! state of a projection, `own` which of our events is which of theirs, and `stream` puts them together.

mod export;
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
