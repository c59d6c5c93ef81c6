//! What the events of a type mean, for those who define types: which entity they are about, what becomes of it, how far it
//! is, what it uses. Built-in projections and alerts go by it.

pub use super::message_role::{MessageRole, Speaker};
pub use super::pointer::{Pointer, Pointers};
pub use super::role::{AlertKind, Condition, Entity, ProgressReading, ProgressRole, Role, Status};
pub use super::usage::{Figure, Measure, Mode, UsageReading};
