//! Bytes on their way into a socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::UnixStream;

use super::outbox::Outbox;
use crate::limits::SHARED_WRITE_PIECES;

/// What was taken from an outbox and is not in the socket yet.
#[derive(Debug, Default)]
pub(crate) struct Flight(VecDeque<Bytes>);

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
        Self(VecDeque::from([frame]))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what comes next.
    pub(crate) fn board(&mut self, outbox: &mut Outbox) {
        if self.0.is_empty() {
            outbox.fill(&mut self.0);
        }
    }

    /// Writes what is there. Never blocks.
    pub(crate) fn fly(&mut self, stream: &UnixStream) -> io::Result<Flown> {
        while !self.0.is_empty() {
            let pieces: Vec<IoSlice<'_>> =
                self.0.iter().take(SHARED_WRITE_PIECES).map(|piece| IoSlice::new(piece)).collect();
            match stream.try_write_vectored(&pieces) {
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
        while let Some(piece) = self.0.front_mut() {
            if piece.len() > bytes {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.0.pop_front();
        }
    }
}
