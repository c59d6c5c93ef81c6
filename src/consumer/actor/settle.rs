//! Settling: acknowledged, to be delivered again, or set aside.

use super::super::call::{How, Named};
use super::super::letter::Letter;
use super::super::machine::{Settled, Stale};
use super::Actor;
use crate::error::{Error, Result};
use crate::event::{Position, Timestamp};
use crate::store::{Batch, Receipt, SidecarWrites};

impl Actor {
    /// The inner error is the caller's.
    pub(super) async fn settle(
        &mut self,
        named: Named,
        how: How,
        marks: &mut SidecarWrites,
    ) -> Result<Result<()>> {
        if let Err(stale) = self.is_out(named) {
            return Ok(Err(stale));
        }
        let (now, delivery) = (self.clock.now(), named.delivery);
        self.changed = true;
        let stale = |stale| refused(&self.name, stale);
        match how {
            How::Ack => match self.machine.settled(delivery) {
                Ok(settled) => {
                    self.acknowledged(&settled, marks);
                    Ok(Ok(()))
                }
                Err(e) => Ok(Err(stale(e))),
            },
            How::Touch => Ok(self.machine.touch(delivery, now).map_err(stale)),
            How::Nack(delay) => match self.machine.nack(delivery, now, delay) {
                Ok(Some(dead)) => {
                    let error = format!("was refused after {} deliveries", dead.deliveries);
                    self.set_aside(&dead, error, marks).await.map(Ok)
                }
                Ok(None) => Ok(Ok(())),
                Err(e) => Ok(Err(stale(e))),
            },
            How::Park(reason) => match self.machine.settled(delivery) {
                Ok(dead) => self.set_aside(&dead, reason, marks).await.map(Ok),
                Err(e) => Ok(Err(stale(e))),
            },
        }
    }

    /// Keeps a delivery from its deadline; not on the disk, where it is settled soon.
    pub(super) fn hold(&mut self, named: Named) {
        if self.is_out(named).is_ok() {
            let _ = self.machine.touch(named.delivery, self.clock.now());
        }
    }

    fn is_out(&self, named: Named) -> Result<()> {
        match self.machine.is_out(named.delivery) {
            Ok(position) if position == named.position => Ok(()),
            Ok(_) => Err(refused(&self.name, Stale::Never)),
            Err(stale) => Err(refused(&self.name, stale)),
        }
    }

    fn acknowledged(&mut self, settled: &Settled, marks: &mut SidecarWrites) {
        self.row.acknowledged = self.row.acknowledged.saturating_add(1);
        // Also a letter of before the consumer was reset.
        self.letterbox.take(marks, Position::new(settled.position));
    }

    /// The event becomes a letter.
    pub(super) async fn set_aside(
        &mut self,
        dead: &Settled,
        error: String,
        marks: &mut SidecarWrites,
    ) -> Result<()> {
        self.changed = true;
        let position = Position::new(dead.position);
        // A letter that was thrown away while it was tried again stays away.
        if dead.again && !self.letterbox.has(position) {
            return Ok(());
        }
        let event = self.recorded(&dead.place, dead.sequence).await?;
        self.row.set_aside = self.row.set_aside.saturating_add(1);
        let letter = Letter {
            owner: self.letterbox.owner().clone(),
            position,
            at: event.address(),
            id: event.id(),
            kind: event.kind().to_owned(),
            error,
            deliveries: dead.deliveries,
            first: Timestamp::from_micros(dead.first),
            last: Timestamp::from_micros(self.clock.now()),
            again: false,
        };
        self.letterbox.put(marks, &letter);
        Ok(())
    }

    /// The append and the acknowledgement in one transaction. The inner error is the caller's: nothing has changed.
    pub(super) async fn ack_with(&mut self, named: Named, batch: Batch) -> Result<Result<Receipt>> {
        if let Err(stale) = self.is_out(named) {
            return Ok(Err(stale));
        }
        let (machine, row) = (self.machine.clone(), self.row.clone());
        let mut marks = SidecarWrites::new();
        let settled = match self.machine.settled(named.delivery) {
            Ok(settled) => settled,
            Err(stale) => return Ok(Err(refused(&self.name, stale))),
        };
        let was_letter = self.letterbox.has(Position::new(settled.position));
        self.acknowledged(&settled, &mut marks);
        self.put_row(&mut marks);
        match self.desk.append_async(batch.marks(marks)).await {
            Ok(receipt) => {
                (self.saved, self.save_at) = (self.machine.scanned(), None);
                Ok(Ok(receipt))
            }
            Err(error @ (Error::Unknown { .. } | Error::Storage { .. } | Error::Closed { .. })) => Err(error),
            Err(refused) => {
                (self.machine, self.row) = (machine, row);
                if was_letter {
                    self.letterbox.keep(Position::new(settled.position));
                }
                Ok(Err(refused))
            }
        }
    }
}

fn refused(consumer: &str, stale: Stale) -> Error {
    let reason = match stale {
        Stale::Over => "it was settled before, or its event was delivered again since",
        Stale::Never => "there was no such delivery",
    };
    Error::NotDelivered { consumer: consumer.to_owned(), reason: reason.into() }
}
