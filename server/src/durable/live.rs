//! Waiting for what comes in a stream.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use retold::{Error, Follow, Followed, Following};
use tokio::time::Instant;

use super::offset::Offset;
use super::path::StreamPath;
use super::read::{Part, Source, part, touch};
use crate::app::App;
use crate::problem::Problem;

/// Bytes of data that are given together.
const AT_ONCE: usize = 64 * 1024;
/// Who waits uses a stream so often, at least, that it does not go before it is due.
const USES: u32 = 3;

/// A stream that is read live.
#[derive(Clone, Debug)]
pub(super) struct LiveRead {
    pub(super) app: App,
    pub(super) path: StreamPath,
    pub(super) source: Source,
    /// The `cursor` of the request.
    pub(super) cursor: Option<String>,
}

/// Waits for what comes in a stream.
#[derive(Debug)]
pub(super) struct Waiting {
    following: Following,
    /// Nothing comes any more.
    is_over: bool,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Data up to this offset. None of it if the events were not of the stream.
    Data { data: Vec<Bytes>, to: u64, is_last: bool },
    /// Nothing comes any more from here: it is closed, or it is gone.
    Over,
}

impl LiveRead {
    /// Waits for what comes after an offset.
    pub(super) async fn follow(&self, after: u64) -> Result<Waiting, Problem> {
        let follow = Follow::branch(&self.source.address)?.after(after).raw();
        Ok(Waiting { following: self.app.store().follow_async(follow).await?, is_over: false })
    }

    /// What comes next. Dropping the future loses nothing: what was taken goes to its caller without a wait.
    pub(super) async fn next(&self, waiting: &mut Waiting) -> Came {
        let (mut data, mut bytes, mut to) = (Vec::new(), 0, None);
        loop {
            let item = match to {
                None if waiting.is_over => return Came::Over,
                None => waiting.following.next().await,
                // What is there already goes with it.
                Some(to) if bytes >= AT_ONCE => return Came::Data { data, to, is_last: false },
                Some(to) => match waiting.following.next().now_or_never() {
                    Some(item) => item,
                    None => return Came::Data { data, to, is_last: true },
                },
            };
            match item {
                Some(Ok(Followed::Event { event, .. })) => {
                    to = Some(event.sequence().get());
                    if let Some(of) = self.source.data(&event) {
                        bytes += of.len();
                        data.push(of);
                    }
                }
                // Notices, and what the store tries again by itself.
                Some(Ok(Followed::CaughtUp { .. })) => {}
                Some(Err(Error::Locked { .. } | Error::OwnerLost { .. } | Error::NoAnswer { .. })) => {}
                // Closed, gone, or with something missing: there is no way on from here.
                _ => {
                    waiting.is_over = true;
                    return to.map_or(Came::Over, |to| Came::Data { data, to, is_last: true });
                }
            }
        }
    }

    /// Reads from an offset on what there is now.
    pub(super) async fn read(&mut self, after: u64) -> Result<Part, Problem> {
        let path = self.path.clone();
        let (source, part) = self
            .app
            .call(move |store| {
                let source = Source::find(store, &path)?;
                let part = part(store, &source, Offset::After(after))?;
                Ok::<_, Problem>((source, part))
            })
            .await?;
        self.source = source;
        Ok(part)
    }

    /// How long a stream may be waited for until it is to be used again; `None` if it does not go by itself.
    pub(super) fn uses_every(&self) -> Option<Duration> {
        self.source.ttl.map(|seconds| (Duration::from_secs(seconds) / USES).max(Duration::from_millis(100)))
    }

    /// When that is next.
    pub(super) fn next_use(&self) -> Option<Instant> {
        self.uses_every().map(|every| Instant::now() + every)
    }

    /// Uses the stream: one that somebody reads does not go.
    pub(super) async fn used(&self, end: u64) {
        let address = self.source.address.clone();
        let _: Result<(), Problem> = self.app.call(move |store| touch(store, &address, end)).await;
    }
}

/// Waits until then, or for ever.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
