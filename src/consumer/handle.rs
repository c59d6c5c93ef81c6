//! What workers hold: the consumer, and its deliveries.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::call::{Call, How, Named, Offer, Reply};
use super::driven::Driven;
use super::token::Token;
use crate::codec::{TokenParts, event_mark};
use crate::delivery::with_causes;
use crate::error::{Error, Result};
use crate::event::{Event, Invalid, Position, StoreId};
use crate::limits::MAX_DELAY_S;
use crate::store::{Batch, Process, Receipt, StoreHandle, unblocked};
use crate::sync::time::micros;

/// A durable consumer. Its clones are workers: each event goes to one of them, and the events of a branch are
/// delivered in order, each after the one before is resolved.
///
/// Delivery is at least once: an event is delivered until it is acknowledged, parked, or has reached the maximum of
/// deliveries. A delivery is on disk before a worker gets it, and an acknowledgement when the call returns; after a
/// crash in between, the event is redelivered. It does not keep the store open. Its task ends with the store or with
/// the last worker and delivery; to be sure that it has ended, call [`close`](Self::close).
///
/// Workers may be on any runtime with its timer enabled. The task is on the runtime that opened it; whoever waits on another
/// goes on with it, so nobody depends on that one. When that one ends and nobody waits, the task has ended, and the consumer
/// is opened again.
#[derive(Clone, Debug)]
pub struct Consumer(pub(super) Arc<Worker>);

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.process.keep(&self.0);
    }
}

/// Why an event is rejected: any error, or a text.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// The channel to the task.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) name: String,
    pub(super) handle: StoreHandle,
    pub(super) store: StoreId,
    pub(super) id: [u8; 16],
    pub(super) calls: mpsc::Sender<Call>,
    /// Why the task ended.
    pub(super) ended: Arc<OnceLock<Error>>,
    pub(super) driven: Arc<Driven>,
}

impl Worker {
    /// Why there was no answer: it says why after it has dropped its replies, and before it drops the channel.
    async fn gone(&self) -> Error {
        self.driven.until(self.calls.closed()).await;
        let unexpected = || Error::storage(format!("the task of consumer {} ended unexpectedly", self.name));
        self.ended.get().cloned().unwrap_or_else(unexpected)
    }

    pub(super) async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T> {
        self.process.check()?;
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.calls.send(call(reply)).await.ok()?;
            answer.await.ok()
        };
        match self.driven.until(asked).await {
            Some(answer) => answer,
            None => Err(self.gone().await),
        }
    }

    async fn named(&self, token: &Token) -> Result<Named> {
        if let Some(reason) = token.foreign(self.store, self.id) {
            return Err(Error::NotDelivered { consumer: self.name.clone(), reason });
        }
        let (delivery, position) = (token.0.delivery, token.0.position);
        if let Some(mark) = token.0.mark {
            let reader = self.handle.reader()?;
            let is_there = unblocked(move || reader.has_seen(Position::new(position), mark)).await?;
            if !is_there {
                let what = format!("consumer {}", self.name);
                return Err(Error::Diverged { what, at: format!("position {position}") });
            }
        }
        Ok(Named { delivery, position })
    }

    async fn resolve(&self, token: &Token, how: How) -> Result<()> {
        let named = self.named(token).await?;
        self.ask(|reply| Call::Resolve { named, how, reply }).await
    }
}

impl Consumer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The next event for this worker; waits until there is one.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready loses and counts nothing: an event that was on its way goes to the next
    /// worker that asks.
    ///
    /// # Errors
    /// [`Error::Closed`] if the store is closed; [`Error::NotFound`] if the consumer was removed; [`Error::Corrupt`]
    /// and [`Error::Storage`] end it for all workers. [`Error::Locked`], [`Error::OwnerLost`], [`Error::NoAnswer`] and
    /// [`Error::Unknown`] say that the store cannot be had at the moment: ask again.
    pub async fn next(&self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.deliver(true).await? {
                return Ok(delivery);
            }
        }
    }

    /// The next event, or `None` if there is none now: everything committed is resolved, in flight, or waits for an
    /// earlier event of its branch.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn try_next(&self) -> Result<Option<Delivery>> {
        self.deliver(false).await
    }

    /// Deliveries as a stream. It ends when the store is closed, and after an error.
    pub fn deliveries(&self) -> impl Stream<Item = Result<Delivery>> + Send + use<> {
        let consumer = self.clone();
        async_stream::stream! {
            loop {
                match consumer.next().await {
                    Ok(delivery) => yield Ok(delivery),
                    Err(Error::Closed { after: None }) => break,
                    Err(error) => {
                        yield Err(error);
                        break;
                    }
                }
            }
        }
    }

    async fn deliver(&self, patient: bool) -> Result<Option<Delivery>> {
        let offer: Option<Offer> = self.0.ask(|reply| Call::Next { patient, reply }).await?;
        let Some(mut offer) = offer else { return Ok(None) };
        let (named, deliveries) = (offer.named, offer.deliveries);
        Ok(offer.event.take().map(|event| Delivery { event, deliveries, named, worker: self.0.clone() }))
    }

    /// Acknowledges a delivery by its token: the event was handled.
    ///
    /// # Errors
    /// [`Error::NotDelivered`] for a token of another store or consumer, and for a delivery that is already resolved,
    /// whose event was redelivered since, or that never existed; otherwise as [`next`](Self::next).
    pub async fn ack(&self, token: &Token) -> Result<()> {
        self.0.resolve(token, How::Ack).await
    }

    /// [`Delivery::ack_with`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack) and [`Delivery::ack_with`].
    pub async fn ack_with(&self, token: &Token, batch: Batch) -> Result<Receipt> {
        let named = self.0.named(token).await?;
        self.0.ask(|reply| Call::AckWith { named, batch: Box::new(batch), reply }).await
    }

    /// [`Delivery::nack`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack), and [`Error::Invalid`] for a delay of more than a week.
    pub async fn nack(&self, token: &Token, delay: impl Into<Option<Duration>>) -> Result<()> {
        let delay = checked(delay.into())?;
        self.0.resolve(token, How::Nack { delay, reason: None }).await
    }

    /// [`Delivery::fail`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn fail(&self, token: &Token, reason: impl Into<Reason>) -> Result<()> {
        let reason = Some(with_causes(&*reason.into()));
        self.0.resolve(token, How::Nack { delay: None, reason }).await
    }

    /// Returns a delivery that its worker never got, because the way to it broke: the event is delivered again at once, and this time
    /// does not count. A worker that got it and cannot handle it [rejects](Self::nack) it: one that is only ever given back never
    /// becomes a dead letter.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn give_back(&self, token: &Token) -> Result<()> {
        self.0.resolve(token, How::GiveBack).await
    }

    /// [`Delivery::touch`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn touch(&self, token: &Token) -> Result<()> {
        self.0.resolve(token, How::Touch).await
    }

    /// [`Delivery::park`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn park(&self, token: &Token, reason: impl Into<Reason>) -> Result<()> {
        self.0.resolve(token, How::Park(with_causes(&*reason.into()))).await
    }

    /// Ends the consumer's task for all its workers, and returns when it has ended and released the store's file.
    /// Open deliveries stay open until their deadline; the consumer itself remains. While the store cannot be had, it ends
    /// all the same, without writing how far it is. In a forked child it does nothing.
    pub async fn close(self) {
        if !self.0.process.is_this() {
            return;
        }
        // If it cannot be reached, it has ended.
        let _ = self.0.driven.until(self.0.calls.send(Call::End)).await;
        self.0.driven.until(self.0.calls.closed()).await;
    }
}

fn checked(delay: Option<Duration>) -> Result<Option<i64>> {
    let longest = Duration::from_secs(MAX_DELAY_S);
    match delay {
        Some(delay) if delay > longest => {
            let reason = format!("of {delay:?} is longer than a week");
            Err(Invalid::new("delay", reason).into())
        }
        delay => Ok(delay.map(micros)),
    }
}

/// A delivered event, which the worker has to resolve. If it is dropped unresolved, the event is redelivered after
/// the deadline, as if the worker had died; until then its [`token`](Self::token) can still resolve it.
#[derive(Debug)]
#[must_use = "an event that is not resolved is redelivered"]
pub struct Delivery {
    event: Event,
    deliveries: u32,
    named: Named,
    worker: Arc<Worker>,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.worker.process.keep(&self.worker);
    }
}

impl Delivery {
    /// The event, in its newest shape.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// How often the event was delivered, including this time. Starts at 1, and again at 1 for a replayed dead letter.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Identifies this delivery.
    #[must_use]
    pub fn token(&self) -> Token {
        let Named { delivery, position } = self.named;
        let mark = Some(event_mark(self.event.record().id_bytes()));
        Token(TokenParts {
            store: *self.worker.store.bytes(),
            consumer: self.worker.id,
            delivery,
            position,
            mark,
        })
    }

    async fn resolve(&self, how: How) -> Result<()> {
        let named = self.named;
        self.worker.ask(|reply| Call::Resolve { named, how, reply }).await
    }

    /// Acknowledges the event. When this returns, that is on disk, and the event will not be redelivered.
    ///
    /// # Cancellation
    /// Dropping the future may or may not have acknowledged it.
    ///
    /// # Errors
    /// [`Error::NotDelivered`] if it is already resolved, or missed its deadline and was redelivered or, after its
    /// last delivery, became a dead letter; otherwise as [`Consumer::next`].
    pub async fn ack(&self) -> Result<()> {
        self.resolve(How::Ack).await
    }

    /// Appends a batch and acknowledges the event in one transaction: both or neither, whatever crashes. So the
    /// result of handling an event is recorded exactly once.
    ///
    /// # Errors
    /// As [`Store::append_batch`](crate::store::Store::append_batch) if the append is refused: the event stays
    /// unacknowledged, its deadline starts over with the call, and the call can be retried. Otherwise as [`ack`](Self::ack).
    pub async fn ack_with(&self, batch: Batch) -> Result<Receipt> {
        let named = self.named;
        self.worker.ask(|reply| Call::AckWith { named, batch: Box::new(batch), reply }).await
    }

    /// Rejects the event: it is redelivered after this delay, or after the consumer's backoff if `None`, or becomes a
    /// dead letter if this was its last delivery. Its branch waits in the meantime.
    ///
    /// # Errors
    /// As [`ack`](Self::ack), and [`Error::Invalid`] for a delay of more than a week.
    pub async fn nack(&self, delay: impl Into<Option<Duration>>) -> Result<()> {
        let delay = checked(delay.into())?;
        self.resolve(How::Nack { delay, reason: None }).await
    }

    /// Rejects the event for a reason, an error or a text: it is redelivered after the consumer's backoff. If this was its last
    /// delivery, its dead letter says the reason, with all its causes.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn fail(&self, reason: impl Into<Reason>) -> Result<()> {
        let reason = Some(with_causes(&*reason.into()));
        self.resolve(How::Nack { delay: None, reason }).await
    }

    /// Extends the delivery: its ack deadline starts over.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn touch(&self) -> Result<()> {
        self.resolve(How::Touch).await
    }

    /// Moves the event to the dead-letter queue, with a reason and its causes, whatever deliveries are left. Its branch continues.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn park(&self, reason: impl Into<Reason>) -> Result<()> {
        self.resolve(How::Park(with_causes(&*reason.into()))).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::sync::task::Runtime;

    fn worker(calls: mpsc::Sender<Call>) -> Worker {
        let store = StoreId::from_bytes([1; 16]);
        let handle = crate::store::Store::in_memory().unwrap().handle();
        let process = Process::this();
        let driven = Driven::start(&Runtime::current().unwrap(), Default::default(), std::future::pending());
        Worker { process, name: "c".into(), handle, store, id: [2; 16], calls, ended: Arc::default(), driven }
    }

    /// The task drops its replies on the way out, before it says why.
    #[tokio::test]
    async fn an_unanswered_call_learns_why_the_task_ended() {
        let (calls, mut incoming) = mpsc::channel(1);
        let worker = worker(calls);
        let mut asked = pin!(worker.ask(|reply| Call::Next { patient: true, reply }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending());
        drop(incoming.try_recv().unwrap());
        assert!(asked.as_mut().poll(&mut context).is_pending(), "it was answered before the task had ended");
        worker.ended.set(Error::storage("the disk is full")).unwrap();
        drop(incoming);
        assert_eq!(asked.await.err(), Some(Error::storage("the disk is full")));
    }

    #[tokio::test]
    async fn a_task_that_ends_without_a_word_is_no_closed_store() {
        let (calls, incoming) = mpsc::channel(1);
        drop(incoming);
        let consumer = Consumer(Arc::new(worker(calls)));
        let told = consumer.next().await.unwrap_err().to_string();
        assert!(told.contains("consumer c ended unexpectedly"), "{told}");
    }
}
