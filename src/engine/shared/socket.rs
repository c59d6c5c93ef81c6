//! One end of a connection.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::net;

use rustix::net::{Shutdown, shutdown};
use tokio::net::UnixStream;

use crate::engine::process::Process;

/// A socket that hangs up when it is dropped. A child that was forked holds it as well, and would keep it open: so the other end
/// is told, and not left to notice that nobody holds it any more.
#[derive(Debug)]
pub(super) struct Socket {
    stream: UnixStream,
    process: Process,
    /// Another has taken it over.
    is_left: bool,
}

impl Socket {
    /// In a runtime.
    pub(super) fn new(stream: net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream).map(Self::of)
    }

    pub(super) fn of(stream: UnixStream) -> Self {
        Self { stream, process: Process::this(), is_left: false }
    }

    /// The process at the other end, as this one would call it; `None` when it is in another namespace, or the system does not
    /// say.
    pub(super) fn peer(&self) -> Option<u32> {
        let pid = self.stream.peer_cred().ok()?.pid()?;
        u32::try_from(pid).ok().filter(|pid| *pid > 0)
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

/// Ends what a socket is used for, by the process that has opened it.
pub(super) fn shut(stream: &impl AsFd, process: &Process, what: Shutdown) {
    if process.is_this() {
        // It fails when the other end has hung up already.
        let _ = shutdown(stream, what);
    }
}

impl Deref for Socket {
    type Target = UnixStream;

    fn deref(&self) -> &UnixStream {
        &self.stream
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.is_left {
            self.hang_up();
        }
    }
}

/// Refuses whoever is about to connect to a listener, which a forked child may hold as well.
pub(super) fn end_listening(listener: &impl AsFd) {
    let _ = shutdown(listener, Shutdown::Both);
}
