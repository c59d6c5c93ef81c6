//! Delivery: finding events, and handing them to workers.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::super::call::{Named, Offer};
use super::super::machine::{Look, Taken};
use super::Actor;
use super::turn::Decided;
use crate::error::{Error, Result};
use crate::event::{Event, Place, Position};
use crate::follow::Followed;
use crate::limits::DEFAULT_PAGE;
use crate::store::{Range, Shape, unblocked};

impl Actor {
    /// Hands available events to waiting workers.
    pub(super) async fn hand_out(&mut self, decided: &mut Decided) -> Result<()> {
        self.asking.retain(|(_, reply)| !reply.is_closed());
        while !self.asking.is_empty() {
            self.look().await?;
            self.glance()?;
            let Some(taken) = self.machine.take(self.clock.now()) else { break };
            self.changed = true;
            let named = Named { delivery: taken.delivery, position: taken.position };
            if taken.again && !self.dead_letter_queue.has(Position::new(taken.position)) {
                let _ = self.machine.resolved(taken.delivery);
                continue;
            }
            let event = match self.event(&taken).await? {
                Ok(event) => event,
                Err(error) => {
                    if let Ok(dead) = self.machine.resolved(taken.delivery) {
                        self.set_aside(&dead, error.to_string(), &mut decided.records).await?;
                    }
                    continue;
                }
            };
            let Some((patient, reply)) = self.asking.pop_front() else { break };
            let (deliveries, returned) = (taken.deliveries, self.returned.clone());
            decided.offers.push((patient, reply, Offer { event: Some(event), deliveries, named, returned }));
        }
        if self.machine.wants_more(self.asking.len()) && !self.is_caught_up().await? {
            return Ok(());
        }
        // There is no event for workers that do not want to wait.
        for (patient, reply) in std::mem::take(&mut self.asking) {
            match patient {
                true => self.asking.push_back((patient, reply)),
                false => decided.nothing.push(reply),
            }
        }
        Ok(())
    }

    /// Finds the next events of branches whose last known event was resolved.
    async fn look(&mut self) -> Result<()> {
        while let Some(look) = self.machine.look(self.asking.len()) {
            let page = self.read(&look).await?;
            let until = page.last().map_or(look.until, |event| event.sequence().get());
            let wanted = page.into_iter().find(|event| self.wants(event));
            let found = wanted.as_ref().map(|event| (event.sequence().get(), event.position().get()));
            self.machine.found(&Look { until, ..look }, found);
            if let Some(event) = wanted {
                self.at_hand.keep(event);
            }
        }
        Ok(())
    }

    /// Takes what is available of the global order, without waiting.
    fn glance(&mut self) -> Result<()> {
        while self.machine.wants_more(self.asking.len()) {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.following).poll_next(&mut context) {
                Poll::Ready(Some(item)) => self.scan(item?),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Ok(())
    }

    pub(super) fn scan(&mut self, item: Followed) {
        let Followed::Event { event, .. } = item else { return };
        let wanted = self.wants(&event);
        let (sequence, position) = (event.sequence().get(), event.position().get());
        self.remember(event.place(), sequence, position, wanted);
        if self.machine.scan(event.place(), sequence, position, wanted) {
            self.at_hand.keep(event);
        }
    }

    /// Whether an event is to be delivered; also one that cannot be upcast, which becomes a dead letter.
    fn wants(&self, event: &Event) -> bool {
        if self.row.since.is_some_and(|since| event.recorded().micros() < since) {
            return false;
        }
        let Ok(reader) = self.handle.reader() else { return true };
        match reader.taken(event.clone(), &self.filter, Shape::Newest) {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(event)) => !self.except.as_ref().is_some_and(|except| except.takes_kind(event.kind())),
        }
    }

    async fn read(&mut self, look: &Look) -> Result<Vec<Event>> {
        let (reader, place) = (self.handle.reader()?, look.place.clone());
        let range = Range {
            from: look.after.saturating_add(1),
            to: look.until,
            limit: DEFAULT_PAGE / 8,
            reverse: false,
        };
        unblocked(move || reader.page(&*reader.branch(&place)?, range)).await
    }

    /// The event as it was recorded.
    pub(super) async fn recorded(&mut self, place: &Place, sequence: u64) -> Result<Event> {
        let look = Look { place: place.clone(), after: sequence.saturating_sub(1), until: sequence };
        let event = self.read(&look).await?.into_iter().next();
        event.ok_or_else(|| Error::corrupt(format!("{place}@{sequence}"), "it was delivered, but is missing"))
    }

    /// The event to deliver, or why it cannot be.
    async fn event(&mut self, taken: &Taken) -> Result<Result<Event>> {
        let event = match self.at_hand.take(taken.position) {
            Some(event) => event,
            None => self.recorded(&taken.place, taken.sequence).await?,
        };
        match self.handle.reader()?.shaped(event) {
            Err(error @ Error::Upcast { .. }) => Ok(Err(error)),
            shaped => shaped.map(Ok),
        }
    }

    /// Whether the global order has nothing more at the moment.
    async fn is_caught_up(&mut self) -> Result<bool> {
        let (reader, scanned) = (self.handle.reader()?, self.machine.scanned());
        let to = reader.committed();
        match &self.config.session {
            _ if scanned >= to.get() => Ok(true),
            None => Ok(false),
            Some(session) => {
                let (session, after) = (session.clone(), Position::new(scanned));
                unblocked(move || Ok(reader.page_session(&session, after, to, 1)?.is_empty())).await
            }
        }
    }
}
