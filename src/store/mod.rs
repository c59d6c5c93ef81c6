//! The store: one file, one writer, any number of readers.
//!
//! One way in: append → writer → journal → tail → flush. One way out: tail and chunks → reader. The folders, from the
//! bottom up: append, engine, handle, verbs, maintain; `docs/architecture.md` says what is in each.
//! Other modules use only what is re-exported here.

mod append;
mod branch;
mod durability;
mod engine;
mod handle;
mod maintain;
mod observe;
mod problem;
mod process;
mod sidecar;
mod sync;
mod unblocked;
mod upgraded;
mod verbs;

pub use append::batch::Batch;
pub use append::receipt::{Placed, Receipt};
pub(crate) use branch::Branch;
pub use durability::Durability;
#[cfg(feature = "agents")]
pub(crate) use engine::read::current::current_mark;
pub(crate) use engine::read::file_reader::Range;
pub use engine::read::list::{BranchInfo, SessionInfo};
pub(crate) use engine::read::order::Positions;
pub(crate) use engine::tables::sidecar_view::SidecarView;
pub use handle::builder::Builder;
pub(crate) use handle::reader::{Reader, Shape, newest};
pub use handle::store::Store;
pub(crate) use handle::store_handle::StoreHandle;
pub use maintain::info::StoreInfo;
pub use maintain::survey::{Becomes, Old, Survey};
pub use maintain::verify::Report;
pub(crate) use observe::{Committed, Observer};
pub use problem::Problem;
pub(crate) use process::Process;
pub(crate) use sidecar::{SidecarRange, SidecarTable, SidecarWrites};
pub(crate) use sync::lock;
pub(crate) use unblocked::unblocked;
pub use upgraded::Upgraded;
pub use verbs::diff::{Diff, Pair, Pairs};
pub use verbs::events::Events;
pub use verbs::query::{Page, Query};
