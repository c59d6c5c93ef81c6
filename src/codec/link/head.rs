//! The header of a frame.

use bincode::Encode;

use crate::codec::Malformed;
use crate::codec::wire::put;
use crate::limits::{SHARED_FRAME_BYTES, SHARED_MESSAGE_BYTES};

/// Bytes of a frame's header.
pub const LINK_HEADER: usize = 16;

/// The header of a frame: what follows it belongs to one message, which may need several frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHead {
    /// Bytes that follow this header.
    pub len: u32,
    /// Bytes of the whole message.
    pub total: u32,
    /// The call that the message belongs to; zero for what belongs to none.
    pub call: u64,
}

impl LinkHead {
    /// Its bytes.
    #[must_use]
    pub fn encode(self) -> [u8; LINK_HEADER] {
        let mut out = [0; LINK_HEADER];
        let fields = self.len.to_le_bytes().into_iter().chain(self.total.to_le_bytes());
        for (to, byte) in out.iter_mut().zip(fields.chain(self.call.to_le_bytes())) {
            *to = byte;
        }
        out
    }

    /// Reads it, and refuses lengths that no frame has.
    ///
    /// # Errors
    /// [`Malformed`] for a frame that is empty or longer than the largest, or part of a message that is.
    pub fn decode(bytes: &[u8; LINK_HEADER]) -> Result<Self, Malformed> {
        let [a, b, c, d, e, f, g, h, call @ ..] = *bytes;
        let head = Self {
            len: u32::from_le_bytes([a, b, c, d]),
            total: u32::from_le_bytes([e, f, g, h]),
            call: u64::from_le_bytes(call),
        };
        if head.len == 0 || head.len as usize > SHARED_FRAME_BYTES {
            return Err(Malformed::new("a frame has an impossible length"));
        }
        if head.total < head.len || head.total as usize > SHARED_MESSAGE_BYTES {
            return Err(Malformed::new("a message has an impossible length"));
        }
        Ok(head)
    }
}

/// A message behind room for a header, which is filled in when one frame is enough for it.
pub fn link_message(call: u64, capacity: usize, message: impl Encode) -> Vec<u8> {
    let mut out = Vec::with_capacity(LINK_HEADER + capacity);
    out.resize(LINK_HEADER, 0);
    put(message, &mut out);
    let len = out.len() - LINK_HEADER;
    if len <= SHARED_FRAME_BYTES
        && let Some(header) = out.first_chunk_mut()
    {
        *header = LinkHead { len: len as u32, total: len as u32, call }.encode();
    }
    out
}

/// Gives a message that was made for no call the number of one.
pub fn number_message(message: &mut [u8], call: u64) {
    if let Some(number) = message.get_mut(LINK_HEADER - size_of::<u64>()..LINK_HEADER) {
        number.copy_from_slice(&call.to_le_bytes());
    }
}
