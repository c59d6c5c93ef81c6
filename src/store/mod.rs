//! The handle and its verbs, over any engine: appends, reads, forks, comparisons, upcasting, the care of the whole.
//!
//! The folders, from the bottom up: append, handle, verbs, maintain; `docs/architecture.md` says what is in each.
//! Outside this module nobody names its inner files; what is re-exported here is all there is.

mod append;
#[cfg(test)]
mod explored;
mod handle;
mod maintain;
mod observe;
pub mod recovery;
mod unblocked;
mod verbs;

pub(crate) use crate::engine::{
    Branch, BranchChange, Change, Commit, Committed, End, Kept, KeptOf, Outcome, Process, Range, Records,
    SidecarRange, SidecarRecord, SidecarTable, SidecarTables, SidecarWrites,
};
pub use crate::engine::{Compaction, Durability, Placed, Problem, Rank, Receipt, Report, Upgraded};
pub use append::batch::Batch;
pub use handle::builder::Builder;
pub use handle::listing::{BranchInfo, SessionInfo};
pub(crate) use handle::marks::{is_still, mark, mark_of};
pub(crate) use handle::reader::{Reader, Shape, newest};
#[cfg(all(unix, feature = "testkit"))]
pub(crate) use handle::sharing::Served;
pub use handle::store::Store;
pub(crate) use handle::store_handle::StoreHandle;
pub use maintain::info::StoreInfo;
pub use maintain::maintenance::Maintenance;
pub(crate) use observe::Observer;
pub(crate) use unblocked::unblocked;
#[cfg(feature = "agents")]
pub(crate) use verbs::current::current_record;
pub(crate) use verbs::current::forget_deleted_current;
pub use verbs::events::Events;
#[cfg(feature = "agents")]
pub(crate) use verbs::promote::promoted_id;
pub use verbs::query::{Page, Query};
#[cfg(feature = "schema")]
pub use verbs::schemas::Schemas;

/// Stores of other machines: a program connects to a server of the store, and the server serves it.
///
/// The library carries the shared protocol over whatever a [`Dialer`](remote::Dialer) makes. With the feature `remote`,
/// [`Endpoint`](crate::remote::Endpoint) is one for the URL of a `retold serve`.
#[cfg(unix)]
pub mod remote {
    pub use super::handle::remote::RemoteHost;
    pub use crate::engine::{Dialer, Dialing, Duplex};
}

/// Leases: who works on a session, until when.
pub mod leases {
    pub use super::append::lease::{FencingToken, Lease};
    pub use super::verbs::leases::Leases;
}

/// Records of an application, beside the events and in one commit with them.
pub mod sidecar {
    pub use super::append::sidecar_changes::SidecarChanges;
    pub use super::verbs::sidecar::{Sidecar, SidecarEntry};
}

/// Some names of sessions and branches, found at a bounded cost.
pub mod names {
    pub use super::verbs::names::{SomeNames, branches, sessions};
}

/// What a survey of old events says, and of each shape that it has found.
pub mod survey {
    pub use super::maintain::survey::{Becomes, Old, Survey};
}

/// Two branches side by side.
pub mod diff {
    pub use super::verbs::diff::{Diff, Pair, Pairs};
}

/// The process that holds a store, and those that use it through that one.
pub mod owner {
    pub use crate::engine::{StoreClient, StoreOwner};
}
