//! What an event is: its names and numbers, its envelope, and the questions that can be asked of it.
//! Pure values: nothing here reads a file, a clock excepted, or knows how an event is stored.

mod address;
mod draft;
mod expect;
mod filter;
mod id;
mod invalid;
mod kind;
mod name;
mod pattern;
mod record;
mod recorded;
mod time;

pub use address::Address;
pub use draft::NewEvent;
pub use expect::Expect;
pub use filter::Filter;
pub use id::{EventId, StoreId};
pub use invalid::Invalid;
pub use kind::check_kind;
pub use name::{BranchName, MAIN, Place, Position, Sequence, SessionId};
pub use pattern::Pattern;
pub(crate) use record::ID_START;
pub use record::{JSON, Metadata, Record, RecordParts, Span};
pub use recorded::Event;
pub use time::Timestamp;
