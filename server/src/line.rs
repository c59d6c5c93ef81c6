//! What the socket of a connection and the requests that come over it know of each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Frame, SizeHint};

/// The state of a connection. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    of: Arc<Of>,
}

#[derive(Debug, Default)]
struct Of {
    at_work: AtomicBool,
    unread: AtomicBool,
    blocked: AtomicBool,
}

impl Line {
    /// A request has begun, and is at work until what is returned is dropped.
    pub(crate) fn begin(&self) -> AtWork {
        self.of.unread.store(false, Ordering::Relaxed);
        self.of.at_work.store(true, Ordering::Relaxed);
        AtWork { line: self.clone() }
    }

    /// Whether bytes of the latest request's body were answered without being read.
    pub(crate) fn is_unread(&self) -> bool {
        self.of.unread.load(Ordering::Relaxed)
    }

    /// Whether bytes wait to be sent.
    pub(crate) fn set_blocked(&self, is_blocked: bool) {
        self.of.blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Nothing is owed to the other side: no answer, and no end of one.
    pub(crate) fn is_idle(&self) -> bool {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        !is(&self.of.at_work) && !is(&self.of.unread) && !is(&self.of.blocked)
    }
}

/// A request that is at work.
#[derive(Debug)]
pub(crate) struct AtWork {
    line: Line,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.line.of.at_work.store(false, Ordering::Relaxed);
    }
}

/// The body of a request, which notes whether all of it was read.
#[derive(Debug)]
pub(crate) struct Asked<B: Body> {
    body: B,
    line: Line,
    is_over: bool,
}

impl<B: Body> Asked<B> {
    pub(crate) fn new(body: B, line: Line) -> Self {
        Self { body, line, is_over: false }
    }
}

impl<B: Body + Unpin> Body for Asked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_over = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Asked<B> {
    fn drop(&mut self) {
        if !self.is_over && !self.body.is_end_stream() {
            self.line.of.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// The body of an answer, whose request is at work until it was sent.
#[derive(Debug)]
pub(crate) struct Answered<B> {
    body: B,
    _work: AtWork,
}

impl<B> Answered<B> {
    pub(crate) fn new(body: B, work: AtWork) -> Self {
        Self { body, _work: work }
    }
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};

    use super::*;

    #[tokio::test]
    async fn a_line_is_idle_once_its_request_was_read_and_answered() {
        let line = Line::default();
        assert!(line.is_idle());
        let work = line.begin();
        let body = Asked::new(Full::new(Bytes::from_static(b"x")), line.clone());
        assert!(!line.is_idle());
        body.collect().await.unwrap();
        let answer = Answered::new(Empty::<Bytes>::new(), work);
        assert!(!line.is_idle());
        drop(answer);
        assert!(line.is_idle());
        line.set_blocked(true);
        assert!(!line.is_idle());
    }

    #[test]
    fn a_body_that_was_not_read_is_noted_until_the_next_request() {
        let line = Line::default();
        drop((line.begin(), Asked::new(Empty::<Bytes>::new(), line.clone())));
        assert!(!line.is_unread());
        drop((line.begin(), Asked::new(Full::new(Bytes::from_static(b"x")), line.clone())));
        assert!(line.is_unread() && !line.is_idle());
        drop(line.begin());
        assert!(!line.is_unread());
    }
}
