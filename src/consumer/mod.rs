//! Durable consumers and dead letters: events are delivered, acknowledged, redelivered, and dead-lettered.
//!
//! `docs/consumers.md` describes the guarantees. Decisions are made by the state machine in `machine`; a task for
//! each consumer reads, writes and answers accordingly.

mod actor;
mod call;
mod config;
mod dead_letter;
mod dead_letters;
mod dead_letters_async;
#[cfg(test)]
mod explored;
mod handle;
mod info;
mod lane;
mod machine;
#[cfg(test)]
mod machine_tests;
mod open;
mod owner;
mod token;

pub use config::ConsumerConfig;
pub use dead_letter::DeadLetter;
pub(crate) use dead_letters::DeadLetterQueue;
pub use handle::{Consumer, Delivery};
pub use info::{ConsumerInfo, Outstanding};
pub use owner::{Owner, OwnerKind};
pub use token::Token;
