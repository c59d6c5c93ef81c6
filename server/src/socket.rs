//! A connection's socket: it counts its bytes, keeps its place among the connections, and gives up on a reader that is stuck.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::metrics::OpenConnection;

/// A socket. What it holds is given back when it is dropped, also after it became a WebSocket.
#[derive(Debug)]
pub(crate) struct Socket<I, H> {
    io: I,
    stall_time: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    open: OpenConnection,
    _held: H,
}

impl<I, H> Socket<I, H> {
    /// `stall_time` is how long it may take no bytes while some wait to be sent.
    pub(crate) fn new(io: I, stall_time: Duration, open: OpenConnection, held: H) -> Self {
        Self { io, stall_time, stalled: None, open, _held: held }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(done) = done {
            self.stalled = None;
            if let Ok(bytes) = done {
                self.open.sent(bytes);
            }
            return Poll::Ready(done);
        }
        let until = Instant::now() + self.stall_time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes no bytes")))
    }
}

impl<I: AsyncRead + Unpin, H: Unpin> AsyncRead for Socket<I, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let done = ready!(Pin::new(&mut self.io).poll_read(cx, into));
        self.open.received(into.filled().len().saturating_sub(before));
        Poll::Ready(done)
    }
}

impl<I: AsyncWrite + Unpin, H: Unpin> AsyncWrite for Socket<I, H> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_stuck_ends_the_connection_and_a_slow_one_does_not() {
        let (near, mut far) = tokio::io::duplex(64);
        let metrics = Metrics::default();
        let mut socket = Socket::new(near, Duration::from_secs(30), metrics.connection(), ());
        let slow = async {
            let mut bytes = [0; 64];
            for _ in 0..5 {
                tokio::time::advance(Duration::from_secs(29)).await;
                far.read_exact(&mut bytes).await.unwrap();
            }
            far
        };
        let (wrote, far) = tokio::join!(socket.write_all(&[7; 320]), slow);
        wrote.unwrap();
        let began = Instant::now();
        let error = socket.write_all(&[7; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 30);
        drop(far);
    }
}
