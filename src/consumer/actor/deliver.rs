//! Delivery: finding events, and handing them to workers.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::super::call::{Named, Offer};
use super::Actor;
use super::turn::Decided;
use crate::codec::event_mark;
use crate::delivery::{Taken, Wanted, look_for, recorded};
use crate::error::{Error, Result};
use crate::event::{Event, Place, Position};
use crate::follow::Followed;
use crate::store::unblocked;

impl Actor {
    /// Hands available events to waiting workers.
    pub(super) async fn hand_out(&mut self, decided: &mut Decided) -> Result<()> {
        self.asking.retain(|(_, reply)| !reply.is_closed());
        while !self.asking.is_empty() {
            self.look().await?;
            self.glance()?;
            let Some((taken, at_hand)) = self.machine.take(self.clock.now()) else { break };
            self.changed = true;
            let named = Named { delivery: taken.delivery, position: taken.position };
            if taken.again && !self.dead_letter_queue.has(Position::new(taken.position)) {
                let _ = self.machine.resolved(taken.delivery);
                continue;
            }
            let event = match self.event(&taken, at_hand).await? {
                Ok(Some(event)) => event,
                Ok(None) => {
                    let _ = self.machine.resolved(taken.delivery);
                    continue;
                }
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

    /// Finds the next events of branches of which nothing is at hand.
    async fn look(&mut self) -> Result<()> {
        while let Some(look) = self.machine.look(self.asking.len()) {
            let (reader, wants, since) = (self.handle.reader()?, self.wants.clone(), self.row.since);
            let found = unblocked(move || {
                look_for(&reader, look, |event| wants.takes(&reader, since, &event).then_some(event))
            });
            let (look, found) = found.await?;
            self.machine.found(&look, found);
        }
        Ok(())
    }

    /// Takes what is available of the global order, without waiting.
    fn glance(&mut self) -> Result<()> {
        while self.machine.wants_more(self.asking.len()) {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut self.following).poll_next(&mut context) {
                Poll::Ready(Some(item)) => self.scan(item?)?,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Ok(())
    }

    pub(super) fn scan(&mut self, item: Followed) -> Result<()> {
        let event = match item {
            Followed::Event { event, .. } => event,
            Followed::Gap { first, .. } => {
                self.machine.pass(first.saturating_sub(1));
                return Ok(());
            }
            Followed::CaughtUp { .. } => return Ok(()),
        };
        let is_wanted = self.wants.takes(&self.handle.reader()?, self.row.since, &event);
        let (place, sequence, position) =
            (event.place().clone(), event.sequence().get(), event.position().get());
        self.remember(&place, sequence, position, is_wanted);
        self.seen = Some((position, event_mark(event.record().id_bytes())));
        let wanted = if is_wanted { Wanted::Yes(Some(event)) } else { Wanted::No };
        self.machine.scan(&place, sequence, position, wanted);
        Ok(())
    }

    /// The event as it was recorded; `None` when it is gone.
    pub(super) async fn recorded(&mut self, place: &Place, at: (u64, u64)) -> Result<Option<Event>> {
        let (reader, place) = (self.handle.reader()?, place.clone());
        unblocked(move || recorded(&reader, &place, at)).await
    }

    /// The event to deliver, or why it cannot be; `None` when it is gone.
    async fn event(&mut self, taken: &Taken, at_hand: Option<Event>) -> Result<Result<Option<Event>>> {
        let event = match at_hand {
            Some(event) => event,
            None => match self.recorded(&taken.place, (taken.sequence, taken.position)).await? {
                Some(event) => event,
                None => return Ok(Ok(None)),
            },
        };
        match self.handle.reader()?.shaped(event) {
            Err(error @ Error::Upcast { .. }) => Ok(Err(error)),
            shaped => shaped.map(|event| Ok(Some(event))),
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
