//! Durable consumers and dead letters: events are handed out, acknowledged, handed out again, and set aside.

mod letter;
mod letters;
mod owner;

pub use letter::Letter;
pub use owner::{Owner, OwnerKind};

#[allow(unused_imports, reason = "the bus takes it up")]
pub(crate) use letters::Letterbox;
