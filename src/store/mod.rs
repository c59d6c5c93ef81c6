//! The engine: one redb file, one writer, any number of readers.
//!
//! One way in: append → writer → journal → tail → settle. One way out: tail and chunks → reader.
//! Outside this room nobody names its inner files; what is re-exported here is all there is.

mod ahead;
mod append;
mod attached;
mod backend;
mod behind;
mod branch;
mod builder;
mod commit;
mod create;
mod current;
mod diff;
mod events;
mod hook;
mod info;
mod journal;
mod layer;
mod layout;
mod list;
mod marks;
mod open;
mod order;
mod path;
mod promote;
mod query;
mod read;
mod ring;
mod scan;
mod settle;
mod settler;
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
mod view;
mod writer;

pub use append::{Batch, Durability, Placed, Receipt};
pub(crate) use behind::{Behind, Desk};
pub(crate) use branch::Branch;
pub use builder::Builder;
pub(crate) use current::current_mark;
pub use diff::{Diff, Pair, Pairs};
pub use events::Events;
pub(crate) use hook::CommitHook;
pub use info::StoreInfo;
pub use list::{BranchInfo, SessionInfo};
pub(crate) use marks::{Marks, MarksView, Rows, Shelf};
pub(crate) use order::Positions;
pub use query::{Page, Query};
pub(crate) use read::{Range, Reader};
pub(crate) use shape::{Shape, newest};
pub use survey::{Becomes, Old, Survey};
pub(crate) use sync::lock;
pub use upgrade::Upgraded;
use verbs::Handle;
pub use verbs::Store;
pub use verify::{Problem, Report};
