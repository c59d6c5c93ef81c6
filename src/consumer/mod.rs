//! Durable consumers and dead letters: events are delivered, acknowledged, redelivered, and dead-lettered.
//!
//! `docs/consumers.md` describes the guarantees. Decisions are made by the state machine in `machine`; a task for
//! each consumer reads, writes and answers accordingly.

mod actor;
mod call;
mod config;
mod consumers;
mod dead_letter;
mod dead_letter_queue;
mod dead_letters;
#[cfg(test)]
mod explored;
mod handle;
mod info;
mod kept;
mod lane;
mod machine;
#[cfg(test)]
mod machine_tests;
mod open;
#[cfg(test)]
mod overtaken;
mod owner;
mod start;
mod token;

pub use config::ConsumerConfig;
pub use consumers::Consumers;
pub use dead_letter::DeadLetter;
pub(crate) use dead_letter_queue::{DeadLetterQueue, discard_oldest};
pub use dead_letters::DeadLetters;
pub use handle::{Consumer, Delivery};
pub use info::{ConsumerInfo, Outstanding};
pub use owner::{Owner, OwnerKind};
pub use token::Token;
