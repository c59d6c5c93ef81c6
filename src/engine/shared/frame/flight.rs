//! Bytes on their way into a socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use super::outbox::Outbox;
use crate::limits::SHARED_WRITE_PIECES;

/// What was taken from an outbox and is not in the socket yet.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pieces: VecDeque<Bytes>,
    /// Some of it is.
    touched: bool,
}

/// How far a flight came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flown {
    /// Everything is in the socket.
    All,
    /// The socket takes nothing more now.
    Blocked,
}

impl Flight {
    /// One frame alone.
    pub(crate) fn of(frame: Bytes) -> Self {
        Self { pieces: VecDeque::from([frame]), touched: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether nothing of it is in the socket.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Takes what comes next.
    pub(crate) fn board(&mut self, outbox: &mut Outbox) {
        if self.pieces.is_empty() {
            outbox.fill(&mut self.pieces);
            self.touched = false;
        }
    }

    /// Writes what is there, into a socket that does not block.
    pub(crate) fn fly(&mut self, write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<Flown> {
        while !self.pieces.is_empty() {
            let pieces: Vec<IoSlice<'_>> =
                self.pieces.iter().take(SHARED_WRITE_PIECES).map(|piece| IoSlice::new(piece)).collect();
            match write(&pieces) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written(written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Flown::Blocked),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Flown::All)
    }

    fn written(&mut self, mut bytes: usize) {
        self.touched = true;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > bytes {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.pieces.pop_front();
        }
    }
}
