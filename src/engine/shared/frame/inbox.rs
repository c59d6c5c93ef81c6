//! Putting messages together from the bytes of a socket.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::Malformed;
use crate::codec::link::{LINK_HEADER, LinkHead};
use crate::limits::SHARED_READ_BYTES;

/// What has come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nothing whole: more bytes are needed.
    More,
    /// The first frame of a message of several. Nothing of it is taken before this is asked again.
    Begins { call: u64, total: u32 },
    /// A whole message.
    Message { call: u64, body: Bytes },
}

/// The messages of one direction of a connection. It holds at most one frame, and the frames of a message of several that
/// have arrived.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: BytesMut,
    /// Bytes of the memory that they are in.
    room: usize,
    /// Bytes without which there is nothing to look at.
    wanted: usize,
    partial: Option<Partial>,
}

/// A message of several frames.
#[derive(Debug)]
struct Partial {
    call: u64,
    total: usize,
    body: Vec<u8>,
}

impl Inbox {
    /// Takes in what `read` finds.
    pub(crate) fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let len = self.bytes.len();
        self.bytes.resize(self.wanted.max(len + SHARED_READ_BYTES), 0);
        self.room = self.bytes.capacity();
        let got = read(self.bytes.get_mut(len..).unwrap_or_default());
        self.bytes.truncate(len + got.as_ref().map_or(0, |n| *n));
        got
    }

    /// Whether a message has begun and is not whole.
    pub(crate) fn is_amid(&self) -> bool {
        !self.bytes.is_empty() || self.partial.is_some()
    }

    /// Whether that is a message of several frames.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// What is there.
    ///
    /// # Errors
    /// [`Malformed`] for frames that nobody sends. The connection is of no use any more.
    pub(crate) fn next(&mut self) -> Result<Incoming, Malformed> {
        loop {
            let Some(header) = self.bytes.first_chunk::<LINK_HEADER>() else {
                return Ok(self.more(LINK_HEADER));
            };
            let head = LinkHead::decode(header)?;
            let (len, total, call) = (head.len as usize, head.total as usize, head.call);
            if len < total {
                match &self.partial {
                    None => {
                        self.partial = Some(Partial { call, total, body: Vec::new() });
                        return Ok(Incoming::Begins { call, total: head.total });
                    }
                    Some(partial) if partial.call == call && partial.total == total => {}
                    Some(_) => {
                        return Err(Malformed::new("two messages of several frames are under way at once"));
                    }
                }
            }
            if self.bytes.len() < LINK_HEADER + len {
                return Ok(self.more(LINK_HEADER + len));
            }
            self.bytes.advance(LINK_HEADER);
            let frame = self.bytes.split_to(len);
            if len == total {
                // What is kept of it keeps all that it was read into.
                let body = if len * 2 < self.room { Bytes::copy_from_slice(&frame) } else { frame.freeze() };
                return Ok(Incoming::Message { call, body });
            }
            if let Some(body) = self.add(&frame)? {
                return Ok(Incoming::Message { call, body });
            }
        }
    }

    fn more(&mut self, wanted: usize) -> Incoming {
        self.wanted = wanted;
        Incoming::More
    }

    /// Adds a frame to the message of several; the message once it is whole.
    fn add(&mut self, frame: &[u8]) -> Result<Option<Bytes>, Malformed> {
        let Some(mut partial) = self.partial.take() else { return Ok(None) };
        if partial.body.len() + frame.len() > partial.total {
            return Err(Malformed::new("a message is longer than it was said to be"));
        }
        partial.body.extend_from_slice(frame);
        if partial.body.len() == partial.total {
            return Ok(Some(partial.body.into()));
        }
        self.partial = Some(partial);
        Ok(None)
    }
}
