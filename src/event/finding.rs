//! What people write to find things: the beginning of an event's id, a test of its payload, a name with a slip in it.

pub use super::id_prefix::IdPrefix;
pub use super::payload_test::PayloadTest;
pub use super::spelling::nearest;
