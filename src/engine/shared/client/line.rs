//! The socket of a client, and who is woken by what comes in.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::engine::process::Process;
use crate::engine::shared::socket::{shut, try_write, watched, writable};

/// A socket that hangs up when it is dropped. What comes in wakes the client's thread, but not while a caller
/// reads: two would wake up for one answer.
#[derive(Debug)]
pub(super) struct Line {
    stream: UnixStream,
    /// Readable when the socket is and its thread is to know: an epoll instance around it, where there is such a thing.
    gate: AsyncFd<OwnedFd>,
    process: Process,
    /// The process at the other end, if it is known.
    peer: Option<u32>,
}

impl Line {
    /// Of a socket that does not block, in a runtime.
    pub(super) fn new(stream: UnixStream, peer: Option<u32>) -> io::Result<Self> {
        let gate = watched(gate::around(&stream)?, Interest::READABLE)?;
        Ok(Self { stream, gate, process: Process::this(), peer })
    }

    pub(super) fn peer(&self) -> Option<u32> {
        self.peer
    }

    /// What comes in from here on does not wake the thread.
    pub(super) fn spares_the_thread(&self) {
        gate::shut(self.gate.get_ref(), &self.stream);
    }

    /// What comes in from here on wakes the thread. What has come in meanwhile wakes it now.
    ///
    /// # Errors
    /// The system has no room for it. Nobody hears the other end any more.
    pub(super) fn wakes_the_thread(&self) -> io::Result<()> {
        gate::open(self.gate.get_ref(), &self.stream)
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.gate.readable().await?.retain_ready();
        Ok(())
    }

    /// Reads what is there, for who was told that there is something.
    pub(super) fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.gate.try_io(Interest::READABLE, |_| Ok(rustix::io::read(&self.stream, &mut *room)?))
    }

    /// Waits until the socket takes something. Only then it is looked at for that: each answer makes room as well.
    pub(super) async fn writable(&self) -> io::Result<()> {
        writable(&self.stream).await
    }

    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write(&self.stream, pieces)
    }

    /// Says that nothing more will be written.
    pub(super) fn end_writing(&self) {
        shut(&self.stream, &self.process, Shutdown::Write);
    }

    /// Nothing more is said or heard.
    pub(super) fn hang_up(&self) {
        shut(&self.stream, &self.process, Shutdown::Both);
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[cfg(target_os = "linux")]
mod gate {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create, delete};
    use rustix::io::Errno;

    pub(super) fn around(stream: &UnixStream) -> io::Result<OwnedFd> {
        let gate = create(CreateFlags::CLOEXEC)?;
        open(&gate, stream)?;
        Ok(gate)
    }

    /// The socket is put in anew. If it only changed what it is looked at for, one that was found readable before, by whoever
    /// has read it since, would count as told of and wake nobody (`ep_modify` in the kernel's fs/eventpoll.c).
    pub(super) fn open(gate: &OwnedFd, stream: &UnixStream) -> io::Result<()> {
        match add(gate, stream, EventData::new_u64(0), EventFlags::IN) {
            // The caller before this one, which is just ending.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn shut(gate: &OwnedFd, stream: &UnixStream) {
        // It is not there when the caller before this one has not opened it yet. A gate that is open costs time, no more.
        let _ = delete(gate, stream);
    }
}

#[cfg(not(target_os = "linux"))]
mod gate {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    pub(super) fn around(stream: &UnixStream) -> io::Result<OwnedFd> {
        stream.as_fd().try_clone_to_owned()
    }

    pub(super) fn open(_: &OwnedFd, _: &UnixStream) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn shut(_: &OwnedFd, _: &UnixStream) {}
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    /// What comes in while a caller reads and is not read by it is the thread's, whatever came in before.
    #[test]
    fn what_a_caller_left_in_the_socket_wakes_the_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (own, mut other) = UnixStream::pair().unwrap();
            own.set_nonblocking(true).unwrap();
            let line = Line::new(own, None).unwrap();
            let mut room = [0; 16];
            for round in 0..3 {
                other.write_all(b"the thread's").unwrap();
                line.readable().await.unwrap();
                assert_eq!(line.try_read(&mut room).unwrap(), 12);
                assert_eq!(line.try_read(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);

                line.spares_the_thread();
                other.write_all(b"left").unwrap();
                line.wakes_the_thread().unwrap();
                let told = tokio::time::timeout(Duration::from_secs(20), line.readable()).await;
                assert!(told.is_ok(), "round {round}: nobody was told");
                assert_eq!(line.try_read(&mut room).unwrap(), 4);
                assert_eq!(line.try_read(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            }
        });
    }
}
