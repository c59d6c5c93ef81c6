//! A subscription in batches, by count or time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::{Cursor, Followed, Following};
use crate::error::{Error, Result};
use crate::event::{Event, Invalid};
use crate::limits::{FOLLOW_BATCH_BYTES, MAX_FOLLOW_BATCH};
use crate::sync::time::{Instant, Sleep, sleep_until};

/// Consecutive events, at least one unless there is a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowedBatch {
    /// Set when what came right before these events was removed before it was delivered: the first that may be left, as in
    /// [`Followed::Gap`]. A batch never goes across a gap. It may have no events: those after the gap have not come in time.
    pub gap: Option<u64>,
    /// The events, in order.
    pub events: Vec<Event>,
    /// Resumes after them.
    pub cursor: Cursor,
}

/// A [`Stream`] of batches. It polls the subscription only while its batch has room, so a slow reader holds one
/// batch, and the rest stays in the store.
#[derive(Debug)]
#[must_use = "a subscription does nothing unless it is polled"]
pub struct Batched {
    following: Following,
    max: usize,
    interval: Duration,
    events: Vec<Event>,
    bytes: usize,
    cursor: Option<Cursor>,
    /// What was removed right before the current batch: the first that may be left.
    gap: Option<u64>,
    /// The same after the current batch, which is over.
    next_gap: Option<(u64, Cursor)>,
    /// Until when the current batch waits for more.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What follows the events that are still to be returned: an error, or the end.
    behind: Option<Option<Error>>,
}

impl Following {
    /// Gathers events into batches: a batch is returned when it has `max` events, or `interval` after its first
    /// event, whichever is sooner; also when its payloads reach 8 MiB, at an error, at a [gap](FollowedBatch::gap) and at the
    /// end. It needs a tokio runtime with time enabled.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use retold::{Follow, NewEvent, Store};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Store::in_memory()?;
    /// store.append("run-7", vec![NewEvent::new("step.done"), NewEvent::new("step.done"), NewEvent::new("step.done")])?;
    /// let mut batches = store.follow(Follow::branch("run-7")?)?.batched(2, Duration::from_millis(10))?;
    /// assert_eq!(batches.next().await.unwrap()?.events.len(), 2);
    /// assert_eq!(batches.next().await.unwrap()?.events.len(), 1);
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a batch size of 0, or above 65,536.
    pub fn batched(self, max: usize, interval: Duration) -> Result<Batched> {
        if !(1..=MAX_FOLLOW_BATCH).contains(&max) {
            let reason = format!("has to have 1 to {MAX_FOLLOW_BATCH} events, not {max}");
            return Err(Invalid::new("batches", reason).into());
        }
        Ok(Batched {
            following: self,
            max,
            interval,
            events: Vec::new(),
            bytes: 0,
            cursor: None,
            gap: None,
            next_gap: None,
            deadline: None,
            behind: None,
        })
    }
}

impl Batched {
    /// The next batch; `None` at the end.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready loses nothing: what was gathered is in the next batch, whose interval
    /// keeps running.
    ///
    /// # Errors
    /// As [`Following::next`], after the events before it were returned.
    pub async fn next(&mut self) -> Option<Result<FollowedBatch>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max || self.bytes >= FOLLOW_BATCH_BYTES || self.next_gap.is_some()
    }

    fn take(&mut self) -> Option<FollowedBatch> {
        self.deadline = None;
        self.bytes = 0;
        let (events, gap) = (std::mem::take(&mut self.events), self.gap.take());
        let is_one = !events.is_empty() || gap.is_some();
        let batch = self.cursor.filter(|_| is_one).map(|cursor| FollowedBatch { gap, events, cursor });
        if let Some((first, cursor)) = self.next_gap.take() {
            self.begin_after(first, cursor);
        }
        batch
    }

    /// The time of a batch begins with what it has first.
    fn begin(&mut self) {
        if self.deadline.is_none() {
            let now = Instant::now();
            // An interval that overflows is treated as a day.
            let until = now.checked_add(self.interval).unwrap_or(now + Duration::from_secs(86_400));
            self.deadline = Some(Box::pin(sleep_until(until)));
        }
    }

    /// The next batch begins after a gap.
    fn begin_after(&mut self, first: u64, cursor: Cursor) {
        self.begin();
        self.gap = Some(first);
        self.cursor = Some(cursor);
    }

    fn push(&mut self, event: Event, cursor: Cursor) {
        self.begin();
        self.bytes += event.payload().len();
        self.events.push(event);
        self.cursor = Some(cursor);
    }
}

impl Stream for Batched {
    type Item = Result<FollowedBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_full() && self.behind.is_none() {
            match Pin::new(&mut self.following).poll_next(cx) {
                Poll::Ready(Some(Ok(Followed::Event { event, cursor }))) => self.push(event, cursor),
                // Events that do not match the filter have advanced the cursor.
                Poll::Ready(Some(Ok(Followed::CaughtUp { cursor }))) => self.cursor = Some(cursor),
                Poll::Ready(Some(Ok(Followed::Gap { first, cursor }))) => match self.events.is_empty() {
                    true => self.begin_after(first, cursor),
                    false => self.next_gap = Some((first, cursor)),
                },
                Poll::Ready(Some(Err(e))) => self.behind = Some(Some(e)),
                Poll::Ready(None) => self.behind = Some(None),
                Poll::Pending => {
                    let is_over = self.deadline.as_mut().is_some_and(|d| d.as_mut().poll(cx).is_ready());
                    match is_over {
                        true => break,
                        false => return Poll::Pending,
                    }
                }
            }
        }
        if let Some(batch) = self.take() {
            return Poll::Ready(Some(Ok(batch)));
        }
        match self.behind.take() {
            Some(Some(e)) => Poll::Ready(Some(Err(e))),
            _ => {
                // Once ended, it stays ended.
                self.behind = Some(None);
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::follow::Follow;
    use crate::store::Store;

    fn numbered(n: u64) -> NewEvent {
        NewEvent::new("step.done").json_text(n.to_string())
    }

    fn append(store: &Store, numbers: std::ops::Range<u64>) {
        store.append("s", numbers.map(numbered).collect::<Vec<_>>()).unwrap();
    }

    fn batches(store: &Store, max: usize, interval: u64) -> Batched {
        let following = store.follow(Follow::branch("s").unwrap()).unwrap();
        following.batched(max, Duration::from_secs(interval)).unwrap()
    }

    fn numbers(batch: Option<Result<FollowedBatch>>) -> Vec<u64> {
        let events = batch.unwrap().unwrap().events;
        events.iter().map(|e| std::str::from_utf8(e.payload()).unwrap().parse().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_full_or_its_time_is_over() {
        let store = Store::in_memory().unwrap();
        append(&store, 0..7);
        let mut batches = batches(&store, 3, 10);
        assert_eq!(numbers(batches.next().await), [0, 1, 2]);
        assert_eq!(numbers(batches.next().await), [3, 4, 5]);
        let begun = Instant::now();
        assert_eq!(numbers(batches.next().await), [6]);
        assert_eq!(begun.elapsed().as_secs(), 10);
        // The time of an empty batch does not run: it begins with an event.
        assert!(tokio::time::timeout(Duration::from_secs(60), batches.next()).await.is_err());
        append(&store, 7..8);
        let begun = Instant::now();
        assert_eq!(numbers(batches.next().await), [7]);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_future_loses_nothing_and_its_time_runs_on() {
        let store = Store::in_memory().unwrap();
        append(&store, 0..2);
        let mut batches = batches(&store, 5, 10);
        let begun = Instant::now();
        for n in 2..4 {
            assert!(tokio::time::timeout(Duration::from_secs(4), batches.next()).await.is_err());
            append(&store, n..n + 1);
        }
        assert_eq!(numbers(batches.next().await), [0, 1, 2, 3]);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_hands_out_what_was_gathered_and_the_cursor_goes_on() {
        let store = Store::in_memory().unwrap();
        append(&store, 0..5);
        let first = batches(&store, 2, 10).next().await.unwrap().unwrap();
        let following = store.follow(Follow::branch("s").unwrap().cursor(first.cursor)).unwrap();
        let mut rest = following.batched(9, Duration::from_secs(1_000)).unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), rest.next()).await.is_err());
        store.close().unwrap();
        assert_eq!(numbers(rest.next().await), [2, 3, 4]);
        assert!(rest.next().await.is_none() && rest.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_slow_holds_one_batch_and_misses_nothing() {
        let store = Store::in_memory().unwrap();
        let mut batches = batches(&store, 10, 1);
        let mut seen = Vec::new();
        for round in 0..20 {
            append(&store, round * 50..(round + 1) * 50);
            seen.extend(numbers(batches.next().await));
            assert!(batches.events.len() <= 10);
        }
        while seen.len() < 1_000 {
            seen.extend(numbers(batches.next().await));
        }
        assert_eq!(seen, (0..1_000).collect::<Vec<u64>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_is_told_between_batches() {
        let store = Store::in_memory().unwrap();
        append(&store, 0..5);
        let mut begun = batches(&store, 2, 10);
        assert_eq!(numbers(begun.next().await), [0, 1]);
        let cursor = begun.next().await.unwrap().unwrap().cursor;
        store.lifecycle().truncate("s", 5).unwrap();
        let following = store.follow(Follow::branch("s").unwrap().after(2)).unwrap();
        let mut resumed = following.batched(9, Duration::from_secs(10)).unwrap();
        let batch = resumed.next().await.unwrap().unwrap();
        assert_eq!((batch.gap, batch.events.len()), (Some(5), 1));
        // One that had everything but what is left is told nothing.
        let following = store.follow(Follow::branch("s").unwrap().cursor(cursor)).unwrap();
        let batch = following.batched(9, Duration::ZERO).unwrap().next().await.unwrap().unwrap();
        assert_eq!((batch.gap, batch.events.len()), (None, 1));
        // Everything is gone: there is nothing but the gap, which is told when its time is over.
        store.lifecycle().truncate("s", 6).unwrap();
        let mut batches = batches(&store, 9, 10);
        let begun = Instant::now();
        let batch = batches.next().await.unwrap().unwrap();
        assert_eq!((batch.gap, batch.events.len(), begun.elapsed().as_secs()), (Some(6), 0, 10));
        append(&store, 5..6);
        let next = batches.next().await.unwrap().unwrap();
        assert_eq!((next.gap, next.events.len()), (None, 1));
        let following = store.follow(Follow::branch("s").unwrap().cursor(batch.cursor)).unwrap();
        let again = following.batched(9, Duration::ZERO).unwrap().next().await.unwrap().unwrap();
        assert_eq!(again.events, next.events);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_where_something_was_removed() {
        let store = Store::in_memory().unwrap();
        append(&store, 0..2);
        store.append("t", (2..4).map(numbered).collect::<Vec<_>>()).unwrap();
        append(&store, 4..6);
        store.lifecycle().delete("t").unwrap();
        let following = store.follow(Follow::all()).unwrap();
        let mut batches = following.batched(9, Duration::from_secs(10)).unwrap();
        let first = batches.next().await.unwrap().unwrap();
        assert_eq!((first.gap, numbers(Some(Ok(first)))), (None, vec![0, 1]));
        let second = batches.next().await.unwrap().unwrap();
        assert_eq!((second.gap, numbers(Some(Ok(second)))), (Some(5), vec![4, 5]));
    }

    #[tokio::test]
    async fn batches_of_nothing_or_of_too_much_are_refused() {
        let store = Store::in_memory().unwrap();
        for max in [0, MAX_FOLLOW_BATCH + 1] {
            let following = store.follow(Follow::all()).unwrap();
            assert!(matches!(following.batched(max, Duration::ZERO), Err(Error::Invalid(_))));
        }
    }
}
