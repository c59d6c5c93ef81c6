//! A connection's socket: it counts its bytes, keeps its place among the connections, gives up on a reader that is stuck or
//! nearly so, and takes what was still being sent before it closes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::limits::{LEAST_TAKEN, LINGER, LINGER_BYTES};
use crate::line::Line;
use crate::metrics::OpenConnection;

/// A socket. What it holds is given back when it is dropped, also after it became a WebSocket.
#[derive(Debug)]
pub(crate) struct Socket<I, H> {
    io: I,
    pace: Pace,
    line: Line,
    abort: Pin<Box<WaitForCancellationFutureOwned>>,
    lingers: Option<(Pin<Box<Sleep>>, usize)>,
    open: OpenConnection,
    _held: H,
}

impl<I, H> Socket<I, H> {
    /// `stall_time` is how long the other side may be waited for while it takes hardly any bytes. Once `abort` is cancelled
    /// nothing is waited for any more.
    pub(crate) fn new(
        io: I,
        stall_time: Duration,
        line: Line,
        abort: CancellationToken,
        (open, held): (OpenConnection, H),
    ) -> Self {
        let abort = Box::pin(abort.cancelled_owned());
        Self { io, pace: Pace::new(stall_time), line, abort, lingers: None, open, _held: held }
    }

    /// While there is nothing to do: whether the server waits no longer.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.abort.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server has ended")))
    }

    fn wrote(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.line.set_blocked(done.is_pending());
        match done {
            Poll::Ready(done) => {
                if let Ok(bytes) = done {
                    self.open.sent(bytes);
                    self.pace.took(bytes);
                }
                Poll::Ready(done)
            }
            Poll::Pending if self.pace.poll_late(cx).is_ready() => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the other side takes hardly any bytes");
                Poll::Ready(Err(error))
            }
            Poll::Pending => self.waits(cx),
        }
    }
}

impl<I: AsyncRead + Unpin, H: Unpin> AsyncRead for Socket<I, H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let Poll::Ready(done) = Pin::new(&mut self.io).poll_read(cx, into) else { return self.waits(cx) };
        self.open.received(into.filled().len().saturating_sub(before));
        Poll::Ready(done)
    }
}

impl<I: AsyncRead + Unpin, H> Socket<I, H> {
    /// Whether bytes have come that nobody has read: of a head that was too large, of what is not HTTP.
    fn has_more(&mut self, cx: &mut Context<'_>) -> bool {
        let mut space = [0; 8 * 1024];
        let mut into = ReadBuf::new(&mut space);
        let _ = Pin::new(&mut self.io).poll_read(cx, &mut into);
        self.open.received(into.filled().len());
        !into.filled().is_empty()
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, H: Unpin> AsyncWrite for Socket<I, H> {
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

    /// A request that was answered before all of it came is still being sent. To close over that would reset the connection, and
    /// the answer would be lost with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.line.is_unread() && !this.has_more(cx) {
                return Poll::Ready(Ok(()));
            }
        }
        let (until, left) = this.lingers.get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES));
        let mut space = [0; 8 * 1024];
        while *left > 0 && until.as_mut().poll(cx).is_pending() {
            let mut into = ReadBuf::new(&mut space);
            match Pin::new(&mut this.io).poll_read(cx, &mut into) {
                Poll::Pending => return this.waits(cx),
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    this.open.received(into.filled().len());
                    *left = left.saturating_sub(into.filled().len());
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How fast the other side takes bytes. Only the time counts in which some wait for it.
#[derive(Debug)]
struct Pace {
    most: Duration,
    waited: Duration,
    taken: usize,
    since: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    fn new(most: Duration) -> Self {
        Self { most, waited: Duration::ZERO, taken: 0, since: None }
    }

    fn took(&mut self, bytes: usize) {
        if let Some((since, _)) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= LEAST_TAKEN || self.waited.is_zero() {
            (self.waited, self.taken) = (Duration::ZERO, 0);
        }
    }

    /// Is ready when it took less than the least for as long as it may.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.most.saturating_sub(self.waited);
        let (_, late) = self.since.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        late.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::line::Asked;
    use crate::metrics::Metrics;

    const STALL: Duration = Duration::from_secs(30);

    fn socket(room: usize) -> (Socket<DuplexStream, ()>, DuplexStream, Line, CancellationToken) {
        let (near, far) = tokio::io::duplex(room);
        let (line, abort) = (Line::default(), CancellationToken::new());
        let held = (Metrics::default().connection(), ());
        (Socket::new(near, STALL, line.clone(), abort.clone(), held), far, line, abort)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_stuck_ends_the_connection_and_a_slow_one_does_not() {
        let (mut socket, mut far, ..) = socket(LEAST_TAKEN);
        let slow = async {
            let mut bytes = [0; LEAST_TAKEN];
            for _ in 0..5 {
                tokio::time::advance(Duration::from_secs(29)).await;
                far.read_exact(&mut bytes).await.unwrap();
            }
            far
        };
        let all = vec![7; 5 * LEAST_TAKEN];
        let (wrote, far) = tokio::join!(socket.write_all(&all), slow);
        wrote.unwrap();
        let began = Instant::now();
        let error = socket.write_all(&vec![7; LEAST_TAKEN + 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 30);
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_now_and_then_is_stuck() {
        let (mut socket, mut far, ..) = socket(64);
        socket.write_all(&[7; 64]).await.unwrap();
        let began = Instant::now();
        let trickle = async {
            for _ in 0..1_000 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                far.read_u8().await.unwrap();
            }
        };
        let error = tokio::select! {
            wrote = socket.write_all(&[7; 64]) => wrote.unwrap_err(),
            () = trickle => panic!("it was waited for"),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= STALL + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_quiet_for_hours_is_not_stuck() {
        let (mut socket, mut far, ..) = socket(64);
        for _ in 0..100 {
            let mut bytes = [0; 65];
            let (wrote, read) = tokio::join!(socket.write_all(&[7; 65]), far.read_exact(&mut bytes));
            wrote.unwrap();
            read.unwrap();
            tokio::time::advance(Duration::from_secs(3_600)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_being_sent_is_taken_before_a_connection_closes() {
        let (mut more, mut far, ..) = socket(64);
        far.write_all(&[7; 64]).await.unwrap();
        let (closed, sent) = tokio::join!(more.shutdown(), async move { far.write_all(&[7; 100_000]).await });
        closed.unwrap();
        sent.unwrap();
        let (mut socket, mut far, line, _) = socket(64);
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"x"));
        drop(Asked::new(body, line));
        // All of it, and then the other side closes.
        let (closed, sent) =
            tokio::join!(socket.shutdown(), async move { far.write_all(&[7; 100_000]).await });
        closed.unwrap();
        sent.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_does_not_linger_for_ever_nor_without_a_reason() {
        let (mut idle, _far, ..) = socket(64);
        let began = Instant::now();
        idle.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        let (mut socket, _silent, line, _) = socket(64);
        drop(Asked::new(http_body_util::Full::new(bytes::Bytes::from_static(b"x")), line.clone()));
        socket.shutdown().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), LINGER.as_secs());
        drop(socket);
        let (mut socket, mut far, ..) = self::socket(64 * 1024);
        socket.line = line;
        let endless = async { while far.write_all(&[7; 64 * 1024]).await.is_ok() {} };
        tokio::select! {
            closed = socket.shutdown() => closed.unwrap(),
            () = endless => panic!("it took what never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_once_the_server_aborts() {
        let (mut socket, _far, _, abort) = socket(64);
        let later = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            abort.cancel();
        };
        let (read, ()) = tokio::join!(socket.read_u8(), later);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let error = socket.write_all(&[7; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
