//! What is to be sent: short messages first, longer ones frame by frame in between.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::codec::link::{LINK_HEADER, LinkHead, SentNotice};
use crate::limits::{SHARED_FRAME_BYTES, SHARED_QUEUE_BYTES, SHARED_WRITE_PIECES};

/// A frame of a long message: its header, and what follows.
const LONG_PIECES: usize = 2;

/// The messages of one direction of a connection, in the order in which they are sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Each a whole frame. They never overtake each other.
    short: VecDeque<Short>,
    /// How many of these there have been before.
    sent: u64,
    /// Neither do these, and none is whole before what was short and waited when it came.
    long: VecDeque<Long>,
    bytes: usize,
    /// Of what was taken out and may not be in the socket yet.
    aboard: usize,
    /// The calls whose messages began with it.
    boarded: Vec<u64>,
    /// Something was committed up to here: what an [unseen](Short::Unseen) among the short ones will say.
    unseen: Option<u64>,
    /// What a [progress](Short::Progress) among the short ones will be.
    progress: Option<(u64, Bytes)>,
    ended: bool,
}

#[derive(Debug)]
enum Short {
    Frame { call: u64, frame: Bytes },
    Unseen,
    Progress,
}

/// A message with room for a header before it.
#[derive(Debug)]
struct Long {
    call: u64,
    message: Bytes,
    sent: usize,
    /// How many short ones are sent before its end.
    after: u64,
}

impl Outbox {
    /// Bytes that wait to be in the socket.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.aboard
    }

    /// Whether what is only a hint has to be left out.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > SHARED_QUEUE_BYTES
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
    /// longer ones. `false` when it takes nothing more.
    pub(crate) fn send(&mut self, call: u64, message: Bytes) -> bool {
        if message.len() - LINK_HEADER.min(message.len()) <= SHARED_FRAME_BYTES {
            self.push(Short::Frame { call, frame: message })
        } else {
            self.send_in_order(call, message)
        }
    }

    /// The same after all others that were sent in order, however short it is.
    pub(crate) fn send_in_order(&mut self, call: u64, message: Bytes) -> bool {
        if !self.ended {
            self.bytes += message.len();
            let after = self.sent + self.short.len() as u64;
            self.long.push_back(Long { call, message, sent: 0, after });
        }
        !self.ended
    }

    /// Sends a message before everything that waits.
    pub(crate) fn send_first(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.short.push_front(Short::Frame { call: 0, frame: message });
    }

    /// Tells of a commit: its position alone when there is no room for more, or nothing more is known.
    pub(crate) fn tell(&mut self, notice: Option<&Bytes>, position: u64) {
        match (notice, self.unseen) {
            (Some(notice), _) if self.bytes() + notice.len() <= SHARED_QUEUE_BYTES => {
                self.push(Short::Frame { call: 0, frame: notice.clone() });
            }
            // One of them stands for all.
            (_, Some(before)) => self.unseen = Some(before.max(position)),
            (_, None) => {
                if self.push(Short::Unseen) {
                    self.unseen = Some(position);
                }
            }
        }
    }

    fn push(&mut self, short: Short) -> bool {
        if !self.ended {
            if let Short::Frame { frame, .. } = &short {
                self.bytes += frame.len();
            }
            self.short.push_back(short);
        }
        !self.ended
    }

    /// Sends one of several short messages of a call, of which only the latest matters: in the place of the one before, while
    /// that waits.
    pub(crate) fn replace(&mut self, call: u64, message: Bytes) {
        match &mut self.progress {
            Some((of, waits)) if *of == call => *waits = message,
            _ => {
                if self.push(Short::Progress) {
                    self.progress = Some((call, message));
                }
            }
        }
    }

    /// Takes back the message of a call of which nothing was sent.
    pub(crate) fn take_back(&mut self, call: u64) -> bool {
        let of_call = |short: &Short| matches!(short, Short::Frame { call: of, .. } if *of == call);
        if let Some(at) = self.short.iter().position(of_call)
            && let Some(Short::Frame { frame, .. }) = self.short.remove(at)
        {
            self.bytes -= frame.len();
            // Those that wait for it have one less to wait for, and others as many as before.
            let place = self.sent + at as u64;
            self.long.iter_mut().filter(|long| long.after > place).for_each(|long| long.after -= 1);
            return true;
        }
        let unsent = |long: &Long| long.call == call && long.sent == 0;
        let long = self.long.iter().position(unsent).and_then(|at| self.long.remove(at));
        if let Some(long) = &long {
            self.bytes -= long.message.len();
        }
        long.is_some()
    }

    /// How many short ones are sent before the end of a longer one.
    #[cfg(test)]
    pub(crate) fn waits_for(&self, call: u64) -> u64 {
        let after = self.long.iter().find(|long| long.call == call).map_or(0, |long| long.after);
        after.saturating_sub(self.sent)
    }

    /// Whether the message of a call begins with what was taken out last.
    pub(crate) fn has_boarded(&self, call: u64) -> bool {
        self.boarded.contains(&call)
    }

    /// The next pieces to write, when those before are in the socket: short ones, and one frame of a long one.
    pub(crate) fn fill(&mut self, pieces: &mut VecDeque<Bytes>) {
        self.aboard = 0;
        self.boarded.clear();
        while pieces.len() + LONG_PIECES < SHARED_WRITE_PIECES && self.aboard < SHARED_FRAME_BYTES {
            let Some(short) = self.short.pop_front() else { break };
            self.sent += 1;
            let piece = match short {
                Short::Frame { call, frame } => {
                    self.bytes -= frame.len();
                    self.boarded.push(call);
                    Some(frame)
                }
                Short::Unseen => {
                    self.unseen.take().map(|position| SentNotice::Unseen(position).message(0, 16).into())
                }
                Short::Progress => self.progress.take().map(|(_, message)| message),
            };
            if let Some(piece) = piece {
                self.aboard += piece.len();
                pieces.push_back(piece);
            }
        }
        self.fill_long(pieces);
    }

    /// One frame of the first of the long messages, so that short ones come in between.
    fn fill_long(&mut self, pieces: &mut VecDeque<Bytes>) {
        let Some(long) = self.long.front_mut() else { return };
        let total = long.message.len() - LINK_HEADER;
        let len = (total - long.sent).min(SHARED_FRAME_BYTES);
        if long.sent + len == total && self.sent < long.after {
            return;
        }
        if len == total {
            pieces.push_back(long.message.clone());
        } else {
            let head = LinkHead { len: len as u32, total: total as u32, call: long.call };
            let from = LINK_HEADER + long.sent;
            pieces.push_back(Bytes::copy_from_slice(&head.encode()));
            pieces.push_back(long.message.slice(from..from + len));
        }
        if long.sent == 0 {
            self.boarded.push(long.call);
        }
        self.aboard += len;
        long.sent += len;
        if long.sent == total
            && let Some(sent) = self.long.pop_front()
        {
            self.bytes -= sent.message.len();
        }
    }
}
