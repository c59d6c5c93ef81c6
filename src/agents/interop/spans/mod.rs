//! Sessions as OpenTelemetry spans, by the semantic conventions for generative AI: agents, chats, calls of tools.
//!
//! `attributes` has the names, `span` is one span as OTLP has it in JSON, `open` one that has not ended, and `session` makes
//! them of events.

mod attributes;
mod export;
mod open;
mod session;
mod span;
#[cfg(test)]
mod tests;

pub use export::export_otlp;
pub use session::Spans;
