//! Reading for async tasks: pages are read on blocking threads.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::own_stream::OwnStream;
use crate::error::Result;
use crate::event::Event;
use crate::store::{Query, Store, unblocked};

/// The events of a query, page by page, for async tasks. Ends after the first error, except
/// [`Error::Upcast`](crate::Error::Upcast), which is followed by the next event.
#[must_use = "a stream does nothing unless it is polled"]
pub struct EventStream {
    items: OwnStream<Event>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventStream")
    }
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_next(cx)
    }
}

impl EventStream {
    /// The next event; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn next(&mut self) -> Option<Result<Event>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
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
        EventStream { items: OwnStream::new(process, items) }
    }
}
