//! An embedded, durable, event-sourced store for sessions of AI agents and long-running jobs.
#![forbid(unsafe_code)]

pub mod codec;
pub mod error;
pub mod event;
pub mod limits;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use error::{Error, Result};
pub use event::{
    Address, BranchName, Event, EventId, Expect, Filter, Invalid, NewEvent, Pattern, Place, Position,
    Sequence, SessionId, StoreId, Timestamp,
};
pub use store::{
    Batch, BranchInfo, Builder, Diff, Durability, Events, Page, Pair, Pairs, Placed, Problem, Query, Receipt,
    Report, SessionInfo, Store, StoreInfo,
};
