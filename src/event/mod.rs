//! Events: their names and numbers, envelope, patterns and filters, and the catalogue of types. Pure
//! values: apart from the clock, nothing here does I/O or knows how an event is stored.

mod address;
mod catalogue;
mod draft;
mod draft_json;
#[cfg_attr(not(feature = "agents"), allow(dead_code, reason = "some names stand in foreign formats only"))]
pub(crate) mod envelope;
mod expect;
mod filter;
mod filter_text;
pub mod finding;
mod fnmatch;
mod fresh;
mod id;
mod id_prefix;
mod invalid;
mod kind;
mod message_role;
mod name;
mod name_pattern;
mod pattern;
pub mod payload;
mod payload_test;
mod payload_view;
mod phase;
mod pointer;
mod priority;
mod raw_json;
mod record;
mod recorded;
mod rfc6901;
mod role;
pub mod roles;
mod span;
mod spelling;
mod time;
mod type_info;
mod typed;
mod usage;

pub use address::Address;
pub use catalogue::Catalogue;
pub use draft::NewEvent;
pub(crate) use draft_json::EventJson;
pub use expect::Expect;
pub use filter::Filter;
pub use id::{EventId, StoreId};
pub(crate) use id_prefix::IdPrefix;
pub use invalid::Invalid;
pub use kind::check_kind;
pub(crate) use message_role::{MessageRole, Speaker};
pub(crate) use name::{ANNOTATIONS, check_name};
pub use name::{BranchName, MAIN, Place, Position, Sequence, SessionId};
pub use name_pattern::NamePattern;
pub use pattern::Pattern;
pub use payload::Payload;
pub(crate) use payload_test::PayloadTest;
#[cfg(test)]
pub(crate) use payload_view::PAYLOADS_READ;
pub(crate) use payload_view::PayloadView;
pub use phase::Phase;
#[cfg(feature = "agents")]
pub(crate) use pointer::Pointer;
pub(crate) use pointer::Pointers;
pub use priority::Priority;
pub(crate) use record::ID_START;
pub use record::{FieldSpan, JSON, Metadata, Record, RecordParts};
pub use recorded::Event;
pub(crate) use rfc6901::{pointer_item, pointer_part, pointer_parts};
#[cfg(feature = "agents")]
pub(crate) use role::ProgressReading;
pub(crate) use role::{AlertKind, Condition, Entity, ProgressRole, Role, Status};
pub use span::{parse_span, span_text};
#[cfg(feature = "toml")]
pub(crate) use spelling::nearest;
pub(crate) use spelling::{distance, slips, snake};
pub use time::Timestamp;
pub use type_info::{TypeInfo, TypeSpec};
pub(crate) use usage::{Figure, Measure, Mode};
