//! The engine: one redb file, one writer, any number of readers.
//!
//! One way in: append → writer → journal → tail → settle. One way out: tail and chunks → reader.
//! Outside this room nobody names its inner files; what is re-exported here is all there is.

mod append;
mod backend;
mod branch;
mod builder;
mod commit;
mod diff;
mod hook;
mod info;
mod journal;
mod list;
mod open;
mod order;
mod promote;
mod query;
mod read;
mod settle;
mod shape;
mod shared;
mod slot;
mod survey;
mod sync;
mod tables;
mod tail;
mod trouble;
mod upgrade;
mod verbs;
mod verify;
mod writer;

pub use append::{Batch, Durability, Placed, Receipt};
pub(crate) use branch::Branch;
pub use builder::Builder;
pub use diff::{Diff, Pair, Pairs};
pub(crate) use hook::CommitHook;
pub use info::StoreInfo;
pub use list::{BranchInfo, SessionInfo};
pub(crate) use order::Positions;
pub use query::{Events, Page, Query};
pub(crate) use read::{Range, Reader};
pub(crate) use shape::Shape;
pub use survey::{Becomes, Old, Survey};
pub use upgrade::Upgraded;
use verbs::Handle;
pub use verbs::Store;
pub use verify::{Problem, Report};
