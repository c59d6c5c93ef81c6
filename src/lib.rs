//! An embedded, durable, event-sourced store for sessions of AI agents and long-running jobs.
//!
//! Everything that happens in a session is recorded in order in one file, and can be replayed, followed live,
//! forked at any event and compared. An acknowledged append survives a crash or a power cut.
//!
//! ```
#![doc = include_str!("../examples/quickstart.rs")]
//! ```
//!
//! # The map
//!
//! | module | content |
//! |---|---|
//! | [`limits`] | every bound, in one place |
//! | [`event`] | events: names, numbers, envelope, patterns, filters, the catalogue of types. No I/O |
//! | [`error`] | the one error type: plain data that a caller can act on |
//! | [`codec`] | encoding and decoding, with checksums |
//! | [`schema`] | payload schemas, upcasters, and their files |
//! | [`store`] | the store: append, read, fork, diff, promote, verify, and the engine below. Blocking |
//! | [`follow`] | replay, then live events, for async tasks. Needs a tokio runtime |
//! | [`project`] | folding events into state: exact at any address, rebuilt when the code changes |
//! | [`consumer`] | durable consumers and dead letters. Needs a tokio runtime |
//! | [`bus`] | handlers in the process, timers, and the spill for when the store cannot be written. Needs a tokio runtime |
//! | [`config`] | settings from `retold.toml`, the environment and the command line, and where each came from |
//! | [`agents`] | everything specific to AI agents: formats of other programs ([`interop`](agents::interop)) and built-in projections ([`projections`](agents::projections)). Feature `agents` |
//! | [`wire`] | shared by the front ends: JSON names, problem documents, exit codes. Feature `agents` |
//! A
//! module uses only those above it in this table. `docs/architecture.md` says why.
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
pub use follow::{Cursor, EventStream, Follow, Followed, Following};
pub use project::{ApplyError, Emit, Projected, Projection};
pub use schema::Upcasts;
pub use store::{
    Batch, BranchInfo, Builder, Diff, Durability, Events, Page, Pair, Pairs, Placed, Problem, Query, Receipt,
    Report, SessionInfo, Store, StoreInfo, Survey, Upgraded,
};
