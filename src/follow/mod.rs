//! Replay, then live events: one subscription without a gap or a repeat. The only state is one number, the last
//! sequence or position that was scanned. The events of a commit are used only if they continue that number; everything
//! else is read from the store. A tokio runtime is needed from here on.

mod batched;
mod blocking;
mod cursor;
#[cfg(test)]
mod explored;
mod followed;
#[cfg(test)]
mod left_out;
mod machine;
mod own_stream;
mod read_stream;
mod request;
mod stream;
mod wake;

pub use batched::{Batched, FollowedBatch};
pub use blocking::BlockingFollowing;
pub use cursor::Cursor;
pub use followed::Followed;
pub use read_stream::{EventStream, ReadStream};
pub use request::Follow;
pub use stream::Following;
pub(crate) use wake::end_of;
