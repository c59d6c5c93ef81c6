//! What people write to find things: a filter, the beginning of an event's id, a test of its payload, a name with a slip in it.

pub use super::filter_text::{FilterText, ahead, any_of, past};
pub use super::id_prefix::IdPrefix;
pub use super::payload_test::PayloadTest;
pub use super::spelling::nearest;
