//! What is to be sent: short messages first, longer ones frame by frame in between.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::codec::link::{LINK_HEADER, LinkHead, SentNotice};
use crate::limits::{SHARED_FRAME_BYTES, SHARED_QUEUE_BYTES, SHARED_WRITE_PIECES};

/// The messages of one direction of a connection, in the order in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Each a whole frame. They never overtake each other.
    short: VecDeque<Short>,
    /// Neither do these.
    long: VecDeque<Long>,
    bytes: usize,
    /// Whether an [unseen](Short::Unseen) is among the short ones.
    unseen: bool,
    ended: bool,
}

#[derive(Debug)]
enum Short {
    Frame {
        call: u64,
        frame: Bytes,
    },
    /// Something was committed up to here.
    Unseen(u64),
}

/// A message with room for a header before it.
#[derive(Debug)]
struct Long {
    call: u64,
    message: Bytes,
    sent: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether what is only a hint has to be left out.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes > SHARED_QUEUE_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// Takes nothing more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Sends a message, which has room for a header before it, after all that were sent so before it; longer ones after
    /// longer ones.
    pub(crate) fn send(&mut self, call: u64, message: Bytes) {
        if message.len() - LINK_HEADER.min(message.len()) <= SHARED_FRAME_BYTES {
            self.push(Short::Frame { call, frame: message });
        } else {
            self.send_in_order(call, message);
        }
    }

    /// The same after all others that were sent in order, however short it is.
    pub(crate) fn send_in_order(&mut self, call: u64, message: Bytes) {
        if !self.ended {
            self.bytes += message.len();
            self.long.push_back(Long { call, message, sent: 0 });
        }
    }

    /// Sends a message before everything that waits.
    pub(crate) fn send_first(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.short.push_front(Short::Frame { call: 0, frame: message });
    }

    /// Tells of a commit: its position alone when there is no room for more, or nothing more is known.
    pub(crate) fn tell(&mut self, notice: Option<&Bytes>, position: u64) {
        match notice {
            Some(notice) if self.bytes + notice.len() <= SHARED_QUEUE_BYTES => {
                self.push(Short::Frame { call: 0, frame: notice.clone() });
            }
            _ if self.unseen => {
                let waits = self.short.iter_mut().find_map(|short| match short {
                    Short::Unseen(position) => Some(position),
                    Short::Frame { .. } => None,
                });
                if let Some(waits) = waits {
                    *waits = (*waits).max(position);
                }
            }
            _ => {
                self.unseen = !self.ended;
                self.push(Short::Unseen(position));
            }
        }
    }

    fn push(&mut self, short: Short) {
        if !self.ended {
            if let Short::Frame { frame, .. } = &short {
                self.bytes += frame.len();
            }
            self.short.push_back(short);
        }
    }

    /// Sends a short message in the place of one of the same call that nobody has read.
    pub(crate) fn replace(&mut self, call: u64, message: Bytes) {
        let of_call = |short: &&mut Short| matches!(short, Short::Frame { call: of, .. } if *of == call);
        match self.short.iter_mut().find(of_call) {
            Some(Short::Frame { frame, .. }) => {
                self.bytes = self.bytes - frame.len() + message.len();
                *frame = message;
            }
            _ => self.send(call, message),
        }
    }

    /// Takes back the message of a call of which nothing was sent.
    pub(crate) fn take_back(&mut self, call: u64) -> bool {
        let of_call = |short: &Short| matches!(short, Short::Frame { call: of, .. } if *of == call);
        let frame = self.short.iter().position(of_call).and_then(|at| self.short.remove(at));
        if let Some(Short::Frame { frame, .. }) = frame {
            self.bytes -= frame.len();
            return true;
        }
        let unsent = |long: &Long| long.call == call && long.sent == 0;
        let long = self.long.iter().position(unsent).and_then(|at| self.long.remove(at));
        if let Some(long) = &long {
            self.bytes -= long.message.len();
        }
        long.is_some()
    }

    /// The next pieces to write.
    pub(crate) fn fill(&mut self, pieces: &mut VecDeque<Bytes>) {
        while pieces.len() < SHARED_WRITE_PIECES {
            match self.short.pop_front() {
                Some(Short::Frame { frame, .. }) => {
                    self.bytes -= frame.len();
                    pieces.push_back(frame);
                }
                Some(Short::Unseen(position)) => {
                    self.unseen = false;
                    pieces.push_back(SentNotice::Unseen(position).message(0, 16).into());
                }
                None => return self.fill_long(pieces),
            }
        }
    }

    /// One frame of the first of the long messages, so that short ones come in between.
    fn fill_long(&mut self, pieces: &mut VecDeque<Bytes>) {
        let Some(long) = self.long.front_mut() else { return };
        let total = long.message.len() - LINK_HEADER;
        let len = (total - long.sent).min(SHARED_FRAME_BYTES);
        if len == total {
            pieces.push_back(long.message.clone());
        } else {
            let head = LinkHead { len: len as u32, total: total as u32, call: long.call };
            let from = LINK_HEADER + long.sent;
            pieces.push_back(Bytes::copy_from_slice(&head.encode()));
            pieces.push_back(long.message.slice(from..from + len));
        }
        long.sent += len;
        if long.sent == total
            && let Some(sent) = self.long.pop_front()
        {
            self.bytes -= sent.message.len();
        }
    }
}
