//! One suite that every engine passes: what a store promises, tested through its public API.
//!
//! A [`Home`] says where the stores of an engine come from; [`run`] runs every case on it, and says which passed, which
//! were skipped because the engine cannot do what they need, and which failed. The cases are about appends and their
//! expectations, permanent deduplication, forks of forks, every order of reading, records beside the events, followers,
//! consumers, timers, leases, the lifecycle of branches, projections, several handles at once, durability, closing, reopening, crashes, and maintenance. [`cases`] lists them, for those
//! who want a test of each.
//!
//! ```
//! use retold::testkit::conformance::{self, Capability, Home};
//! use retold::{Builder, Result, Store};
//!
//! /// The engine in plain maps, whose stores end with their last handle: it cannot reopen one, nor crash.
//! struct InMemory;
//!
//! impl Home for InMemory {
//!     fn create(&mut self, settings: Builder) -> Result<Store> {
//!         settings.in_memory()
//!     }
//! }
//!
//! let conformance = conformance::run(&mut InMemory);
//! assert!(conformance.is_clean(), "{conformance}");
//! let lacks = |of| conformance.skipped.iter().filter(|(_, capability)| *capability == of).count();
//! assert_eq!(lacks(Capability::Reopen) + lacks(Capability::Crash), conformance.skipped.len());
//! ```

mod append;
mod case;
mod checks;
mod closing;
mod consumers;
mod deleting;
mod duplicates;
mod durability;
mod expiring;
mod follow;
mod forks;
mod handles;
mod home;
mod leases;
mod lifecycle;
mod maintenance;
mod order;
mod projections;
mod records;
mod reopening;
mod suite;
mod timers;
mod truncating;

pub use case::{Case, CaseOutcome, Stop};
pub use home::{Capability, Home};
pub use suite::{Conformance, cases, run};
