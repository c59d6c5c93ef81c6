//! Durable consumers and dead letters: events are handed out, acknowledged, handed out again, and set aside.
//!
//! `docs/consumers.md` says what is guaranteed. The decisions are in the machine, a state over numbers; a task for each
//! consumer reads, writes and answers as it is told.

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
