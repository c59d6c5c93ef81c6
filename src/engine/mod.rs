//! Storage behind one port. An engine knows branches with their parents, events, records of sidecar tables and one
//! global order; it knows nothing of upcasting, filters, queries, consumers and projections.
//!
//! [`Engine`] is the port. The files beside it hold its types and what every engine shares, above all the pure
//! decision about an append. The folders are engines; nothing above this module names one: `docs/architecture.md`.

mod answers;
mod backup;
#[cfg(feature = "testkit")]
mod beside;
mod branch;
mod clock;
mod commit;
mod compaction;
mod dead_space;
mod decide;
mod durability;
mod expiry;
mod file;
#[cfg(unix)]
mod file_id;
mod get;
mod gone_ids;
mod handle_id;
mod identity;
#[cfg(feature = "testkit")]
mod layer;
mod life;
mod memory;
mod moving;
mod on_path;
#[cfg(unix)]
mod owner;
mod ownership;
mod pieces;
mod port;
mod problem;
mod process;
mod purged;
mod rank;
mod reaper;
mod receipt;
mod records;
#[cfg(test)]
mod refusing;
mod repaired;
mod report;
mod restored;
#[cfg(unix)]
mod shared;
mod sidecar;
mod upgraded;
mod watch;
mod watching;

pub use backup::Backup;
pub(crate) use backup::UnnamedBackup;
#[cfg(feature = "testkit")]
pub(crate) use beside::beside;
pub(crate) use branch::Branch;
pub(crate) use commit::{Commit, Outcome, Prepared, PreparedFork, PreparedPart, check_forks};
pub use compaction::Compaction;
pub use dead_space::DeadSpace;
pub use durability::Durability;
pub use expiry::Expiry;
pub(crate) use expiry::due;
pub(crate) use file::{Medium, Mode, Options, check_increment, open, repair, restore, restore_chain};
pub(crate) use get::{End, Range};
pub(crate) use handle_id::HandleId;
pub(crate) use identity::Identity;
#[cfg(test)]
pub(crate) use layer::EngineLayer;
pub(crate) use life::{BranchChange, Change, Kept, KeptOf};
pub(crate) use memory::open as open_in_memory;
pub(crate) use on_path::is_on_path;
#[cfg(unix)]
pub(crate) use owner::{SharingConfig, connect as open_remote, open as open_shared};
pub use ownership::{StoreClient, StoreOwner};
pub(crate) use pieces::{Piece, Pieces};
#[cfg(test)]
pub(crate) use port::Submitted;
pub(crate) use port::{Admin, Engine, EngineReader, OnProgress};
pub use problem::Problem;
pub(crate) use process::Process;
pub use purged::Purged;
pub use rank::Rank;
pub use receipt::{Placed, Receipt};
pub(crate) use records::Records;
#[cfg(test)]
pub(crate) use refusing::Refusing;
pub use repaired::{LOST_EVENT, Lost, Repaired};
pub use report::Report;
pub(crate) use restored::{KeptPart, KeptRecord};
pub use restored::{RestoreUntil, Restored};
#[cfg(all(unix, feature = "testkit"))]
pub(crate) use shared::{ClientInfo, Hello, connect, exchange, frames};
#[cfg(unix)]
pub use shared::{Dialer, Dialing, Duplex};
#[cfg(unix)]
pub(crate) use shared::{Reach, Server, ServerOptions, carry};
pub(crate) use sidecar::{SidecarRange, SidecarRecord, SidecarTable, SidecarTables, SidecarWrites};
pub use upgraded::Upgraded;
pub(crate) use watch::{Committed, Watcher};
