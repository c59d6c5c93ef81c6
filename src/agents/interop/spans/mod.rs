//! Sessions as OpenTelemetry spans, by the semantic conventions for generative AI: agents, chats, calls of tools.
//!
//! `attributes` has the names, `words` the texts; `span` is one span as OTLP has it in JSON, `open` one that has not ended,
//! `chat` those of answers; `session` makes them of events.

mod attributes;
mod chat;
mod export;
mod open;
mod session;
mod span;
#[cfg(test)]
mod tests;
mod words;

pub use export::export_otlp;
pub use session::Spans;
