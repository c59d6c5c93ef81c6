//! Durable consumers: events are delivered, acknowledged, redelivered, and dead-lettered.
//!
//! `docs/consumers.md` describes the guarantees. Decisions are made by the state machine in `delivery`; a task for
//! each consumer reads, writes and answers accordingly.

mod actor;
mod alarm;
#[cfg(test)]
mod away;
mod call;
mod config;
mod consumers;
mod driven;
#[cfg(test)]
mod explored;
mod handle;
mod info;
mod kept;
mod open;
#[cfg(test)]
mod overtaken;
mod start;
mod token;
mod waiters;

pub use config::ConsumerConfig;
pub use consumers::Consumers;
pub use handle::{Consumer, Delivery};
pub use info::{ConsumerInfo, Outstanding};
pub use token::Token;
