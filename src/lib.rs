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
//! | [`delivery`] | what consumers and handlers share: the state machine of delivery, dead letters |
//! | [`consumer`] | durable consumers. Needs a tokio runtime |
//! | [`bus`] | handlers in the process, timers, and the spill for when the store cannot be written. Needs a tokio runtime |
//! | [`config`] | settings from `retold.toml`, the environment and the command line, and where each came from |
//! | [`agents`] | what knows AI agents: formats of other programs, read and written ([`interop`](agents::interop)), projections that come along ([`projections`](agents::projections)), and full-text search. Feature `agents` |
//! | [`remote`] | stores behind a URL. Feature `remote` |
//! | [`wire`] | what the front ends share: JSON names, problem documents, exit codes. Feature `agents` |
//!
//! A module uses those above it in this table, never those below. `docs/architecture.md` says why.
//!
//! # Blocking and async
//!
//! One rule: a verb that can wait blocks, and has an async form of the same name with `_async` at its end, the same
//! arguments and the same errors. [`Store::append`] and [`Store::append_async`], [`store::Maintenance::verify`] and
//! [`store::Maintenance::verify_async`]. What is given to a callback then has to be `Send + 'static`.
//!
//! - What lives on a runtime has async verbs only, without a suffix: [`Bus`], [`Consumer`], [`Following`], and what makes
//!   or changes a consumer, in [`consumer::Consumers`]. What only starts a task ([`bus::Subscribe::run`],
//!   [`bus::timers::Timers::run`], [`Bus::new`]) neither reads nor waits, and has one form.
//! - A blocking iterator has a stream beside it: [`Store::events`] has [`Store::stream`], and [`store::diff::Pairs`] and
//!   [`project::History`] have `into_stream`.
//! - An async form reads the file on one of the runtime's threads for blocking work, never on a worker. Outside a tokio
//!   runtime it reads where it is polled.
//!
//! So an async form that is waited for *on* such a thread (`Handle::block_on` inside `spawn_blocking`) needs a second one.
//! When there is only one, or all of them wait like this, it never ends: use the blocking form there. The
//! same holds for the last handle of a store: dropping it closes the store, which waits for the disk, so a task
//! awaits [`Store::close_async`] first.
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
pub mod delivery;
mod engine;
pub mod error;
pub mod event;
mod files;
pub mod follow;
pub mod lifecycle;
pub mod limits;
mod panics;
pub mod project;
#[cfg(all(unix, feature = "remote"))]
pub mod remote;
pub mod schema;
pub mod store;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
#[cfg(feature = "agents")]
pub mod wire;

/// The version of the crate `uuid` whose [`Uuid`](uuid::Uuid) is in this API: [`EventId::from_uuid`],
/// [`EventId::derived`].
pub use uuid;

pub use bus::{Bus, Message, Persistence};
pub use consumer::{Consumer, ConsumerConfig, ConsumerInfo, Delivery, Token};
pub use delivery::{DeadLetter, Owner};
pub use error::{Error, Result};
pub use event::{
    Address, BranchName, Catalogue, Event, EventId, Expect, Filter, Invalid, NewEvent, Pattern, Place,
    Position, Record, Sequence, SessionId, StoreId, Timestamp,
};
pub use follow::{BlockingFollowing, Cursor, EventStream, Follow, Followed, Following};
pub use project::{ApplyError, Emit, Projected, Projection};
pub use schema::Upcasts;
pub use store::diff::{Diff, Pair, Pairs};
pub use store::leases::{FencingToken, Lease, Leases};
pub use store::recovery::Backup;
pub use store::survey::Survey;
pub use store::{
    Batch, BranchInfo, Builder, Compaction, Durability, Events, Page, Placed, Problem, Query, Receipt,
    Report, SessionInfo, Store, StoreInfo, Upgraded,
};

/// The code of the book's pages that is for users runs with the tests.
#[cfg(all(doctest, feature = "agents"))]
mod book {
    #[doc = include_str!("../docs/tutorial.md")]
    mod tutorial {}
    #[doc = include_str!("../docs/cookbook.md")]
    mod cookbook {}
    #[cfg(feature = "search")]
    #[doc = include_str!("../docs/search.md")]
    mod search {}
}
