//! What a type's payload has to look like: files that register users' types, and the check of what is appended.

mod guard;
mod registry;
#[cfg(feature = "schema")]
mod validate;

pub(crate) use guard::Guard;
pub use guard::Validation;
