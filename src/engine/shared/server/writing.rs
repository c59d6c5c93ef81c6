//! Writing to a client: whoever has something for it writes it, as far as the socket takes it at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::shared::frame::{Flight, Flown, Outbox};
use crate::engine::shared::socket::Socket;
use crate::sync::{Mutex, lock};

/// What became of what there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the socket.
    All,
    /// The socket takes nothing more now.
    Blocked,
    /// Another thread is writing, and writes this as well.
    Elsewhere,
    /// There is more than was to be written.
    Left,
}

#[derive(Debug, Default)]
pub(super) struct Writing {
    outbox: Mutex<Outbox>,
    /// Locked while something is written. The outbox is not: nobody waits for a socket.
    flight: Mutex<Flight>,
    /// Somebody has it.
    flying: AtomicBool,
    /// The client's task waits until the socket takes more.
    blocked: AtomicBool,
}

impl Writing {
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Outbox) -> T) -> T {
        look(&mut lock(&self.outbox))
    }

    /// One to which nothing is written before it [goes on](Self::goes_on).
    pub(super) fn held() -> Self {
        Self { blocked: AtomicBool::new(true), ..Self::default() }
    }

    /// Writes what there is. Never blocks.
    pub(super) fn write(&self, stream: &Socket) -> io::Result<Written> {
        self.write_at_most(stream, usize::MAX)
    }

    /// Writes what there is, as long as no more than so many bytes wait.
    pub(super) fn write_at_most(&self, stream: &Socket, bytes: usize) -> io::Result<Written> {
        loop {
            if self.blocked.load(Ordering::Acquire) {
                return Ok(Written::Blocked);
            }
            if self.flying.swap(true, Ordering::AcqRel) {
                return Ok(Written::Elsewhere);
            }
            let flown = self.fly(stream, bytes);
            self.flying.store(false, Ordering::Release);
            match flown? {
                None => return Ok(Written::Left),
                Some(Flown::Blocked) => return Ok(Written::Blocked),
                Some(Flown::All) => {}
            }
            // What came before the flight was let go was left to this thread.
            if self.look(|outbox| outbox.is_empty()) {
                return Ok(Written::All);
            }
        }
    }

    /// `None` when too much waits.
    fn fly(&self, stream: &Socket, bytes: usize) -> io::Result<Option<Flown>> {
        let mut flight = lock(&self.flight);
        loop {
            let waits = self.look(|outbox| {
                let waits = outbox.bytes();
                if waits <= bytes {
                    flight.board(outbox);
                }
                waits
            });
            if waits > bytes {
                return Ok(None);
            }
            if flight.is_empty() {
                return Ok(Some(Flown::All));
            }
            if flight.fly(|pieces| stream.try_write(pieces))? == Flown::Blocked {
                self.blocked.store(true, Ordering::Release);
                return Ok(Some(Flown::Blocked));
            }
        }
    }

    /// The socket takes more.
    pub(super) fn goes_on(&self) {
        self.blocked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::net::UnixStream;

    use super::*;

    fn read(stream: &UnixStream) -> usize {
        let mut bytes = vec![0; 1 << 20];
        stream.try_read(&mut bytes).unwrap_or_default()
    }

    #[tokio::test]
    async fn nothing_is_written_before_the_welcome_and_not_much_on_the_way_of_commits() {
        let (own, other) = UnixStream::pair().unwrap();
        let own = Socket::of(own).unwrap();
        let writing = Writing::held();
        writing.look(|outbox| outbox.send(0, Bytes::from_static(b"a hint")));
        assert_eq!(writing.write(&own).unwrap(), Written::Blocked);
        assert_eq!(read(&other), 0);
        writing.look(|outbox| outbox.send_first(Bytes::from_static(b"the welcome")));
        writing.goes_on();
        own.writable().await.unwrap();
        assert_eq!(writing.write_at_most(&own, 10_000).unwrap(), Written::All);
        other.readable().await.unwrap();
        assert!(read(&other) > 0);
        writing.look(|outbox| outbox.send(7, vec![0; 10_001].into()));
        assert_eq!(writing.write_at_most(&own, 10_000).unwrap(), Written::Left);
        assert_eq!(read(&other), 0);
        assert_eq!(writing.write(&own).unwrap(), Written::All);
    }
}
