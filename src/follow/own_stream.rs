//! A stream that belongs to the process that created it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::Result;
use crate::store::Process;
use crate::sync::stream_turn;

/// The outer error ends it, the inner one is an item.
type Items<T> = Pin<Box<dyn Stream<Item = Result<Result<T>>> + Send>>;

/// In a forked child it ends with an error, and is leaked: it may be in the middle of something that holds a lock.
pub(super) struct OwnStream<T> {
    process: Process,
    /// `None` once the child got its error.
    items: Option<Items<T>>,
}

impl<T> OwnStream<T> {
    pub(super) fn new(
        process: Process,
        items: impl Stream<Item = Result<Result<T>>> + Send + 'static,
    ) -> Self {
        Self { process, items: Some(Box::pin(items)) }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        if let Err(e) = self.process.check() {
            return Poll::Ready(self.items.take().map(|items| {
                std::mem::forget(items);
                Err(e)
            }));
        }
        let _turn = stream_turn();
        match &mut self.items {
            Some(items) => items.as_mut().poll_next(cx).map(|item| item.map(Result::flatten)),
            None => Poll::Ready(None),
        }
    }
}

impl<T> Drop for OwnStream<T> {
    fn drop(&mut self) {
        if !self.process.is_this() {
            std::mem::forget(self.items.take());
        }
    }
}
