//! One end of a connection.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::net::unix::UCred;

use super::frame::Inbox;
use crate::engine::process::Process;
use crate::limits::SHARED_ACCEPT_MS;

/// A socket that hangs up when it is dropped. A child that was forked holds it as well, and would keep it open: so the other end
/// is told, and not left to notice that nobody holds it any more.
///
/// It is looked at for what comes in, and only while somebody waits for it for room: every message that the other end reads
/// makes some, and would wake this end for nothing.
#[derive(Debug)]
pub(super) struct Socket {
    stream: AsyncFd<net::UnixStream>,
    peer: UCred,
    process: Process,
    /// Another has taken it over.
    is_left: bool,
}

impl Socket {
    /// In a runtime.
    pub(super) fn new(stream: net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).and_then(Self::of)
    }

    /// The same, of one that a listener gave out.
    pub(super) fn of(stream: UnixStream) -> io::Result<Self> {
        let peer = stream.peer_cred()?;
        let stream = watched(stream.into_std()?, Interest::READABLE)?;
        Ok(Self { stream, peer, process: Process::this(), is_left: false })
    }

    /// The user at the other end.
    pub(super) fn uid(&self) -> u32 {
        self.peer.uid()
    }

    /// The process at the other end, as this one would call it; `None` when it is in another namespace, or the system does not
    /// say.
    pub(super) fn peer(&self) -> Option<u32> {
        u32::try_from(self.peer.pid()?).ok().filter(|pid| *pid > 0)
    }

    /// Reads what is there, once there is something.
    pub(super) async fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            let mut ready = self.stream.readable().await?;
            let mut is_all = false;
            let read = inbox.read(|room| {
                let read = rustix::io::read(&self.stream, &mut *room)?;
                is_all = read < room.len();
                Ok(read)
            });
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    if is_all {
                        // What comes after says so again.
                        ready.clear_ready();
                    }
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Writes what it takes at once.
    pub(super) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        try_write(&self.stream, pieces)
    }

    /// Waits until it takes something.
    pub(super) async fn writable(&self) -> io::Result<()> {
        writable(&self.stream).await
    }

    /// Leaves the connection to who has the socket as well.
    pub(super) fn leave(mut self) {
        self.is_left = true;
    }

    /// Nothing more is said or heard.
    pub(super) fn hang_up(&self) {
        shut(&self.stream, &self.process, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.is_left {
            self.hang_up();
        }
    }
}

/// Only for what owns its descriptor and keeps it, which is what makes this sound.
#[allow(
    deprecated,
    reason = "its successor is unsafe for the sake of types that lend descriptors they do not own"
)]
pub(super) fn watched<T: Into<OwnedFd> + std::os::fd::AsRawFd>(
    owned: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owned, interest)
}

/// Writes what a socket takes at once.
pub(super) fn try_write(socket: &impl AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut nothing = SendAncillaryBuffer::default();
    Ok(sendmsg(socket, pieces, &mut nothing, SendFlags::NOSIGNAL)?)
}

/// Waits until a socket takes something; for a moment where the system has no room to watch it.
pub(super) async fn writable(socket: &impl AsFd) -> io::Result<()> {
    let stream = socket.as_fd().try_clone_to_owned().and_then(|own| watched(own, Interest::WRITABLE));
    match stream {
        Ok(stream) => stream.writable().await?.retain_ready(),
        Err(_) => tokio::time::sleep(Duration::from_millis(SHARED_ACCEPT_MS)).await,
    }
    Ok(())
}

/// Ends what a socket is used for, by the process that has opened it.
pub(super) fn shut(stream: &impl AsFd, process: &Process, what: Shutdown) {
    if process.is_this() {
        // It fails when the other end has hung up already.
        let _ = shutdown(stream, what);
    }
}

/// Refuses whoever is about to connect to a listener, which a forked child may hold as well.
pub(super) fn end_listening(listener: &impl AsFd) {
    let _ = shutdown(listener, Shutdown::Both);
}
