//! Reading for tasks: what is read is read where blocking is allowed.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::own_stream::OwnStream;
use crate::error::Result;
use crate::event::Event;
use crate::limits::{PAGE_BYTES, STREAM_ITEMS};
use crate::store::diff::{Pair, Pairs};
use crate::store::{Process, Query, Store, unblocked};

/// What a blocking iterator would give, for tasks: read page by page, on a thread that may block. It ends where the
/// iterator would.
///
/// Like the iterator, it keeps the store's file open until it ends or is dropped.
#[must_use = "a stream does nothing unless it is polled"]
pub struct ReadStream<T> {
    items: OwnStream<T>,
}

/// Events of a query, page by page, for tasks. Ends after the first error, unless that is
/// [`Error::Upcast`](crate::Error::Upcast): then the event after it is next.
pub type EventStream = ReadStream<Event>;

impl<T> std::fmt::Debug for ReadStream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadStream")
    }
}

impl<T> Stream for ReadStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_next(cx)
    }
}

impl<T> ReadStream<T> {
    /// The next item; `None` at the end.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    /// Those of the iterator.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Send + 'static> ReadStream<T> {
    /// What this iterator gives. `bytes` is what an item holds of the store, so that a few large ones make a page.
    pub(crate) fn of(
        process: Process,
        items: impl Iterator<Item = Result<T>> + Send + 'static,
        bytes: fn(&T) -> usize,
    ) -> Self {
        let items = async_stream::try_stream! {
            let mut next = Some(items);
            while let Some(mut items) = next.take() {
                let (items, page, is_over) = unblocked(move || {
                    let (page, is_over) = page_of(&mut items, bytes);
                    Ok((items, page, is_over))
                })
                .await?;
                next = (!is_over).then_some(items);
                for item in page {
                    yield item;
                }
            }
        };
        Self { items: OwnStream::new(process, items) }
    }
}

/// Some items, and whether they are the last.
fn page_of<T>(items: &mut impl Iterator<Item = Result<T>>, bytes: fn(&T) -> usize) -> (Vec<Result<T>>, bool) {
    let (mut page, mut size) = (Vec::new(), 0);
    while page.len() < STREAM_ITEMS && size < PAGE_BYTES {
        let Some(item) = items.next() else { return (page, true) };
        size += item.as_ref().map_or(0, bytes);
        page.push(item);
    }
    (page, false)
}

impl Pairs {
    /// The same pairs for tasks: read on a thread that may block.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = Store::in_memory()?;
    /// store.append("s", [NewEvent::new("run.started"), NewEvent::new("tool.errored")])?;
    /// store.fork("s@1", "retry")?;
    /// let mut pairs = store.diff_async("s", "s/retry").await?.pairs.into_stream();
    /// assert!(pairs.next().await.unwrap()?.right.is_none());
    /// assert!(pairs.next().await.is_none());
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn into_stream(self) -> ReadStream<Pair> {
        ReadStream::of(self.process().clone(), self, |pair| {
            let both = [&pair.left, &pair.right].into_iter().flatten();
            both.map(|event| event.record().encoded().len()).sum()
        })
    }
}

impl Store {
    /// [`events`](Self::events) for tasks, in bounded memory: each page is read when it is needed.
    pub fn stream(&self, query: Query) -> EventStream {
        let store = self.clone();
        let process = self.handle().process().clone();
        let items = async_stream::try_stream! {
            let mut left = query.max_events();
            let mut next = Some(query);
            while let (Some(query), true) = (next.take(), left > 0) {
                let (store, query) = (store.clone(), query.page_limit(left));
                let scanned = unblocked(move || store.scan(&query)).await?;
                next = scanned.next.clone();
                for item in scanned.items() {
                    left -= usize::from(item.is_ok());
                    yield item;
                }
            }
        };
        ReadStream { items: OwnStream::new(process, items) }
    }
}
