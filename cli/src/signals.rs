//! The signals that a server minds: those that end it, and the one that has it read its tokens again.

use std::io;

/// Signals from now on.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Unless something is `read_again`, a terminal that is closed ends the program as it ends others.
    pub(super) fn listen(read_again: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: read_again.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for the next signal. Returns whether it only asks for a reload.
    pub(super) async fn is_reload(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => false,
            _ = self.terminate.recv() => false,
            () = hung_up(self.hang_up.as_mut()) => true,
        }
    }

    /// Waits for the next signal that ends the program.
    pub(super) async fn ends(&mut self) {
        while self.is_reload().await {}
    }
}

#[cfg(unix)]
async fn hung_up(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Ctrl-C from now on.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen(_: bool) -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next Ctrl-C. Tokens are read at the start alone.
    pub(super) async fn is_reload(&mut self) -> bool {
        let _ = tokio::signal::ctrl_c().await;
        false
    }

    /// Waits for the next Ctrl-C.
    pub(super) async fn ends(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
