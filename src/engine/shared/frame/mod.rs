//! Messages in frames, without any socket.

mod flight;
mod inbox;
mod outbox;
#[cfg(test)]
mod tests;

#[cfg(feature = "testkit")]
mod apart;

#[cfg(feature = "testkit")]
pub(crate) use apart::frames;
pub(crate) use flight::{Flight, Flown};
pub(crate) use inbox::{Inbox, Incoming};
pub(crate) use outbox::Outbox;
