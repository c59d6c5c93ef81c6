//! What crosses the socket between the process that owns a store and its clients: frames, and the messages in them.
//! `docs/shared-protocol.md` draws them.

mod answer;
mod ask;
mod greeting;
mod head;
mod notice;
mod parts;
mod problem;
#[cfg(test)]
mod tests;

pub use answer::{SentAnswer, SentDeadSpace, SentFigures, SentOwner, SentPeer, SentReport, SentStatus};
pub use ask::{SentAppend, SentAsk, SentChange, SentFork, SentPart, SentRange, SentWhat, SentWrites};
pub use greeting::{HelloBody, LINK_NEWEST, LINK_OLDEST, SentGreeting, SentHello, SentWelcome};
pub use head::{LINK_HEADER, LinkHead, link_message, number_message};
pub use notice::SentNotice;
pub use parts::{
    SentAttributes, SentBranch, SentChunk, SentEnd, SentEvent, SentEvents, SentFullBranch, SentFullEnd,
    SentPiece, SentPlace, SentPlaced, SentSegment,
};
pub use problem::{SentExpect, SentProblem};

use super::Malformed;
use super::wire;

/// Reads a message, which has to use up all bytes.
macro_rules! message {
    ($name:ident) => {
        impl<'a> $name<'a> {
            /// Reads it.
            ///
            /// # Errors
            /// [`Malformed`] for anything that is not written so.
            pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
                wire::take_all(bytes)
            }

            /// Its frame, complete when it needs only one: the header, then the message.
            #[must_use]
            pub fn message(self, call: u64, capacity: usize) -> Vec<u8> {
                link_message(call, capacity, self)
            }
        }
    };
}

impl SentAnswer<'_> {
    /// Whether a message is progress, so that more follows. The first byte says which kind of answer it is.
    #[must_use]
    pub fn is_progress(message: &[u8]) -> bool {
        message.first() == Some(&PROGRESS)
    }
}

/// The number of [`SentAnswer::Progress`].
const PROGRESS: u8 = 18;

message!(SentAsk);
message!(SentAnswer);
message!(SentNotice);
