//! An embedded, durable, event-sourced store for sessions of AI agents and long-running jobs.
#![forbid(unsafe_code)]

pub mod error;
pub mod event;
pub mod limits;

pub use error::{Error, Result};
pub use event::{
    Address, BranchName, Event, EventId, Expect, Filter, Invalid, NewEvent, Pattern, Place, Position,
    Sequence, SessionId, StoreId, Timestamp,
};
