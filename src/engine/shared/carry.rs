//! Carries the bytes of a connection between the network and a socket of this process, on which either side of the shared protocol
//! works as it does between processes.

use std::future::Future;
use std::io;
use std::os::unix::net;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, copy, split};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::dialer::Duplex;
use crate::limits::{REMOTE_LINGER_MS, REMOTE_SILENCE_MS};

const SILENCE: Duration = Duration::from_millis(REMOTE_SILENCE_MS);
const LINGER: Duration = Duration::from_millis(REMOTE_LINGER_MS);

/// Until both directions have ended, or either has failed. One that has ended leaves the other a little time: who says nothing more
/// still hears its answers.
pub(crate) async fn carry(near: net::UnixStream, far: impl Duplex) -> io::Result<()> {
    carry_for(near, far, LINGER).await
}

async fn carry_for(near: net::UnixStream, far: impl Duplex, linger: Duration) -> io::Result<()> {
    near.set_nonblocking(true)?;
    let mut near = UnixStream::from_std(near)?;
    let (mut from_near, mut to_near) = near.split();
    let (from_far, mut to_far) = split(far);
    let mut from_far = Heard::new(from_far);
    let out = async {
        copy(&mut from_near, &mut to_far).await?;
        to_far.shutdown().await
    };
    let back = async {
        copy(&mut from_far, &mut to_near).await?;
        to_near.shutdown().await
    };
    let (mut out, mut back) = (pin!(out), pin!(back));
    tokio::select! {
        ended = &mut out => {
            ended?;
            timeout(linger, back).await?
        }
        ended = &mut back => {
            ended?;
            timeout(linger, out).await?
        }
    }
}

/// What comes from the other side, which always says something now and then: see `keep_up` of the client. It is waited for only
/// while there is room for it.
struct Heard<R> {
    from: R,
    /// Since when it is waited for, and until when.
    silence: Pin<Box<Sleep>>,
    is_waited_for: bool,
}

impl<R> Heard<R> {
    fn new(from: R) -> Self {
        Self { from, silence: Box::pin(sleep(SILENCE)), is_waited_for: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Heard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.from).poll_read(cx, into) {
            self.is_waited_for = false;
            return Poll::Ready(read);
        }
        if !self.is_waited_for {
            self.is_waited_for = true;
            self.silence.as_mut().reset(Instant::now() + SILENCE);
        }
        ready!(self.silence.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side has not been heard of")))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// What carries, the local end as a task has it, and the far end.
    fn carried(linger: Duration) -> (tokio::task::JoinHandle<io::Result<()>>, UnixStream, DuplexStream) {
        let (near, own) = net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let (far, other) = duplex(1_024);
        (tokio::spawn(carry_for(near, far, linger)), UnixStream::from_std(own).unwrap(), other)
    }

    #[tokio::test]
    async fn bytes_arrive_in_both_directions_and_the_end_of_one_leaves_the_other() {
        let (carrying, mut own, mut other) = carried(LINGER);
        let long: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let sent = long.clone();
        let send = tokio::spawn(async move {
            own.write_all(&sent).await.unwrap();
            own.shutdown().await.unwrap();
            let mut answer = Vec::new();
            own.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut heard = Vec::new();
        other.read_to_end(&mut heard).await.unwrap();
        assert!(heard == long, "{} bytes", heard.len());
        // Nothing more is said to it, and it still answers.
        other.write_all(b"the answer").await.unwrap();
        drop(other);
        assert_eq!(send.await.unwrap(), b"the answer");
        carrying.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_side_that_only_listens_is_not_listened_to_for_ever() {
        let (carrying, own, mut other) = carried(Duration::from_millis(20));
        drop(own);
        let mut said = Vec::new();
        other.read_to_end(&mut said).await.unwrap();
        assert_eq!(carrying.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(other.write_all(b"too late").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_is_silent_for_long_is_gone_and_a_quiet_one_is_not() {
        let (far, mut other) = duplex(64);
        let mut heard = Heard::new(far);
        let mut room = [0; 8];
        for _ in 0..10 {
            let quiet = async {
                sleep(SILENCE - Duration::from_secs(1)).await;
                other.write_all(b"x").await.unwrap();
            };
            let (read, ()) = tokio::join!(heard.read(&mut room), quiet);
            assert_eq!(read.unwrap(), 1);
            // While nothing is read, nothing can be heard.
            sleep(SILENCE * 2).await;
        }
        let begun = Instant::now();
        assert_eq!(heard.read(&mut room).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs());
    }
}
