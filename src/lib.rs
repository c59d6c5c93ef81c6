//! An embedded, durable, event-sourced store for sessions of AI agents and long-running jobs.
//!
//! Everything that happened in a session is kept in order in one file, can be replayed, followed live, forked at any
//! event and compared. An append that was acknowledged survives a crash and a power cut.
//!
//! ```
#![doc = include_str!("../examples/quickstart.rs")]
//! ```
//!
//! # The map
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every bound, in one place |
//! | [`event`] | what an event is: names, numbers, envelope, patterns, the filter, the catalogue of types. No I/O |
//! | [`error`] | the one error, plain data that a caller can act on |
//! | [`codec`] | bytes and events, both ways, checked |
//! | [`schema`] | what a type's payload has to look like, and how old shapes of events become new ones; their files |
//! | [`store`] | the engine: append, journal, flush, read, fork, verify. Blocking |
//! | [`follow`] | replay, then live, for tasks. Needs a tokio runtime |
//! | [`project`] | folds of events into state: exact at any address, rebuilt when they change |
//! | [`consumer`] | durable consumers and dead letters. Needs a tokio runtime |
//! | [`bus`] | handlers in the process, timers, and the spill for when the store cannot write. Needs a tokio runtime |
//! | [`config`] | settings from `retold.toml`, the environment and the command line, and where each came from |
//! | [`agents`] | what knows AI agents: formats of other programs, read and written ([`interop`](agents::interop)), and projections that come along ([`projections`](agents::projections)). Feature `agents` |
//! | [`wire`] | what the front ends share: JSON names, problem documents, exit codes. Feature `agents` |
//!
//! A module uses those above it in this table, never those below. `docs/architecture.md` says why.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "agents")]
pub mod agents;
pub mod bus;
mod cache;
#[doc(hidden)]
pub mod codec;
#[cfg(feature = "config")]
pub mod config;
pub mod consumer;
mod engine;
pub mod error;
pub mod event;
pub mod follow;
pub mod limits;
mod panics;
pub mod project;
pub mod schema;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;
#[cfg(feature = "agents")]
pub mod wire;

/// The version of the crate `uuid` whose [`Uuid`](uuid::Uuid) is in this API: [`EventId::from_uuid`],
/// [`EventId::derived`].
pub use uuid;

pub use bus::{Bus, Message, Persistence, Retry};
pub use consumer::{Consumer, ConsumerConfig, ConsumerInfo, DeadLetter, Delivery, Owner, Token};
pub use error::{Error, Result};
pub use event::{
    Address, BranchName, Catalogue, Event, EventId, Expect, Filter, Invalid, NewEvent, Pattern, Place,
    Position, Record, Sequence, SessionId, StoreId, Timestamp,
};
pub use follow::{BlockingFollowing, Cursor, EventStream, Follow, Followed, Following};
pub use project::{ApplyError, Emit, Projected, Projection};
pub use schema::Upcasts;
pub use store::{
    Batch, BranchInfo, Builder, Diff, Durability, Events, Page, Pair, Pairs, Placed, Problem, Query, Receipt,
    Report, SessionInfo, Store, StoreInfo, Survey, Upgraded,
};
