//! What workers hold: the consumer, and the events that it hands them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::call::{Call, How, Named, Offer, Reply};
use super::config::micros;
use super::token::Token;
use crate::codec::TokenParts;
use crate::error::{Error, Result};
use crate::event::{Event, Invalid, StoreId};
use crate::limits::MAX_DELAY_S;
use crate::store::{Batch, Process, Receipt};

/// A durable consumer. Clones are workers of the same: each event goes to one of them, and the events of a branch come
/// one after another, the next one when the one before is resolved.
///
/// An event is delivered until it is acknowledged, parked, or was delivered as often as the settings allow: at least
/// once. That a delivery began is on the disk before a worker is given it, and an acknowledgement when the call
/// returns; a crash in between delivers again.
///
/// It does not keep the store open. Its task ends with the store or with the last worker and delivery; whoever wants
/// to be sure that it has ended calls [`close`](Self::close).
#[derive(Clone, Debug)]
pub struct Consumer(pub(super) Arc<Worker>);

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.process.keep(&self.0);
    }
}

/// The way to the task.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) name: String,
    pub(super) store: StoreId,
    pub(super) id: [u8; 16],
    pub(super) calls: mpsc::Sender<Call>,
    /// Why the task has ended.
    pub(super) ended: Arc<OnceLock<Error>>,
}

impl Worker {
    /// Why the task has ended. It says so before it lets go of the channel.
    async fn gone(&self) -> Error {
        self.calls.closed().await;
        let unexpected = || Error::storage(format!("the task of consumer {} ended unexpectedly", self.name));
        self.ended.get().cloned().unwrap_or_else(unexpected)
    }

    pub(super) async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T> {
        self.process.check()?;
        let (reply, answer) = oneshot::channel();
        if self.calls.send(call(reply)).await.is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        Err(self.gone().await)
    }

    fn named(&self, token: &Token) -> Result<Named> {
        match token.foreign(self.store, self.id) {
            Some(reason) => Err(Error::NotDelivered { consumer: self.name.clone(), reason }),
            None => Ok(Named { delivery: token.0.delivery, position: token.0.position }),
        }
    }

    async fn resolve(&self, token: &Token, how: How) -> Result<()> {
        let named = self.named(token)?;
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
    /// Dropping the future before it is ready loses nothing and counts nothing: an event that was on its way goes to
    /// the next who asks.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store is; [`Error::NotFound`] when the consumer was removed; [`Error::Corrupt`],
    /// [`Error::Storage`] and [`Error::Unknown`] end it for all workers.
    pub async fn next(&self) -> Result<Delivery> {
        loop {
            if let Some(delivery) = self.deliver(true).await? {
                return Ok(delivery);
            }
        }
    }

    /// The next event, or `None` when there is none now: everything that is committed is resolved, out, or waits for
    /// an earlier one of its branch.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn try_next(&self) -> Result<Option<Delivery>> {
        self.deliver(false).await
    }

    /// The same as a stream, which ends after an error; a closed store only ends it.
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

    /// Resolves a delivery by its token: the event was handled.
    ///
    /// # Errors
    /// [`Error::NotDelivered`] for a token of another store or consumer, for a delivery that was resolved, whose event
    /// was delivered again since, or that there never was; else as [`next`](Self::next).
    pub async fn ack(&self, token: &Token) -> Result<()> {
        self.0.resolve(token, How::Ack).await
    }

    /// [`Delivery::ack_with`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack) and [`Delivery::ack_with`].
    pub async fn ack_with(&self, token: &Token, batch: Batch) -> Result<Receipt> {
        let named = self.0.named(token)?;
        self.0.ask(|reply| Call::AckWith { named, batch: Box::new(batch), reply }).await
    }

    /// [`Delivery::nack`] by token.
    ///
    /// # Errors
    /// As [`ack`](Self::ack), and [`Error::Invalid`] for a delay of more than a week.
    pub async fn nack(&self, token: &Token, delay: impl Into<Option<Duration>>) -> Result<()> {
        let delay = checked(delay.into())?;
        self.0.resolve(token, How::Nack(delay)).await
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
    pub async fn park(&self, token: &Token, reason: impl Into<String>) -> Result<()> {
        self.0.resolve(token, How::Park(reason.into())).await
    }

    /// Ends the consumer's task for all its workers, and returns when it has ended and let go of the store's file.
    /// What is out stays out until its deadline; the consumer itself stays. In a forked child it does nothing.
    pub async fn close(self) {
        if !self.0.process.is_this() {
            return;
        }
        // When it cannot be told it has ended.
        let _ = self.0.calls.send(Call::End).await;
        self.0.calls.closed().await;
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

/// An event in the hands of a worker, who resolves it. One that is dropped unresolved is delivered again after the
/// deadline, as if its worker had died: its [`token`](Self::token) still resolves it until it is.
#[derive(Debug)]
#[must_use = "an event that is not resolved is delivered again"]
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

    /// How often it was delivered, this time counted: 1 the first time, and again after a dead letter was sent back.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Names this delivery.
    #[must_use]
    pub fn token(&self) -> Token {
        let Named { delivery, position } = self.named;
        Token(TokenParts { store: *self.worker.store.bytes(), consumer: self.worker.id, delivery, position })
    }

    async fn resolve(&self, how: How) -> Result<()> {
        let named = self.named;
        self.worker.ask(|reply| Call::Resolve { named, how, reply }).await
    }

    /// The event was handled. When this returns it is on the disk, and the event will not be delivered again.
    ///
    /// # Cancellation
    /// Dropping the future may or may not have acknowledged it.
    ///
    /// # Errors
    /// [`Error::NotDelivered`] when it was resolved before, or took longer than its deadline and was delivered again or,
    /// after its last delivery, became a dead letter; else as [`Consumer::next`].
    pub async fn ack(&self) -> Result<()> {
        self.resolve(How::Ack).await
    }

    /// Appends a batch and acknowledges the event in one transaction: both or neither, whatever crashes. So what a
    /// worker makes of an event is recorded exactly once.
    ///
    /// # Errors
    /// As [`Store::append_batch`](crate::store::Store::append_batch) when the append is refused: the event stays
    /// unacknowledged and can be tried again, with its deadline counted from the call. As [`ack`](Self::ack) else.
    pub async fn ack_with(&self, batch: Batch) -> Result<Receipt> {
        let named = self.named;
        self.worker.ask(|reply| Call::AckWith { named, batch: Box::new(batch), reply }).await
    }

    /// The event could not be handled: it is delivered again after this delay, or after the consumer's backoff when
    /// `None`, or becomes a dead letter when that was its last delivery. Its branch waits meanwhile.
    ///
    /// # Errors
    /// As [`ack`](Self::ack), and [`Error::Invalid`] for a delay of more than a week.
    pub async fn nack(&self, delay: impl Into<Option<Duration>>) -> Result<()> {
        let delay = checked(delay.into())?;
        self.resolve(How::Nack(delay)).await
    }

    /// It takes longer: the deadline is counted from now.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn touch(&self) -> Result<()> {
        self.resolve(How::Touch).await
    }

    /// Sets the event aside as a dead letter, with a reason, whatever deliveries are left. Its branch goes on.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub async fn park(&self, reason: impl Into<String>) -> Result<()> {
        self.resolve(How::Park(reason.into())).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn worker(calls: mpsc::Sender<Call>) -> Worker {
        let store = StoreId::from_bytes([1; 16]);
        let process = Process::this();
        Worker { process, name: "c".into(), store, id: [2; 16], calls, ended: Arc::default() }
    }

    /// The task drops its replies on the way out, before it says why.
    #[tokio::test]
    async fn who_is_not_answered_is_told_why_the_task_ended() {
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
