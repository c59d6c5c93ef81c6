//! Durable consumers and dead letters: events are handed out, acknowledged, handed out again, and set aside.
//!
//! `docs/consumers.md` says what is guaranteed. The decisions are in the machine, a state over numbers; a task for each
//! consumer reads, writes and answers as it is told.

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
mod lane;
mod machine;
#[cfg(test)]
mod machine_tests;
mod open;
mod owner;
mod token;

pub use config::ConsumerConfig;
pub use consumers::Consumers;
pub use dead_letter::DeadLetter;
pub(crate) use dead_letter_queue::DeadLetterQueue;
pub use dead_letters::DeadLetters;
pub use handle::{Consumer, Delivery};
pub use info::{ConsumerInfo, Outstanding};
pub use owner::{Owner, OwnerKind};
pub use token::Token;
