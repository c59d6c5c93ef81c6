//! What retold is tested with, for testing code on top of it: a reference [`Model`] of the store in plain maps,
//! [`strategies`] for property tests, a [`Disk`] that counts, records, fails and loses power, a `Folder` that records what is
//! done to files and loses power too, and a [`conformance`] suite that every engine passes.
//!
//! ```
//! use retold::testkit::{Cut, Disk};
//! use retold::{NewEvent, Store};
//!
//! let disk = Disk::new();
//! let store = Store::builder().with_backend(disk.backend())?;
//! store.append("run-7", NewEvent::new("run.started"))?;
//! let acknowledged = disk.operations();
//! store.append("run-7", NewEvent::new("tool.invoked"))?;
//!
//! // The power fails at the moment of the first acknowledgement; nothing that was not synced has survived.
//! let after = Disk::from_bytes(disk.moment(acknowledged).cut(&Cut::Nothing));
//! let store = Store::builder().with_backend(after.backend())?;
//! assert_eq!(store.head("run-7")?.get(), 1);
//! # Ok::<(), retold::Error>(())
//! ```

mod backend;
mod beside;
pub mod conformance;
#[cfg(test)]
mod explore;
mod fault;
#[cfg(unix)]
mod folder;
mod given;
mod model;
mod moment;
#[cfg(unix)]
mod sharing;
pub mod strategies;
mod want;

pub use backend::Disk;
pub use beside::beside;
#[cfg(test)]
pub(crate) use explore::{
    BUS_END_SCHEDULES, BUS_SCHEDULES, CONSUMER_SCHEDULES, FOLLOW_FILE_SCHEDULES, FOLLOW_SCHEDULES,
    QUEUE_SCHEDULES, TIMER_SCHEDULES, WRITER_SCHEDULES, all_caught, explore,
};
pub use fault::{DiskOperation, Fault};
#[cfg(unix)]
pub use folder::{Folder, FolderMoment};
pub use given::Given;
pub use model::{Model, ModelAppended, ModelBranch, ModelEvent, ModelPart, ModelSession};
pub use moment::{Cut, Moment};
#[cfg(unix)]
pub use sharing::{Sharing, exchange, frames};
pub use want::{Ask, Want};
