//! Resolving deliveries: acknowledged, redelivered, or dead-lettered.

use super::super::call::{How, Named};
use super::Actor;
use crate::delivery::{Delay, Failed, Resolved, Stale, chance};
use crate::error::{Error, Result};
use crate::event::{Position, Timestamp};
use crate::store::{Batch, Receipt, SidecarWrites, unblocked};
use crate::sync::fault;

impl Actor {
    /// The inner error is the caller's.
    pub(super) async fn resolve(
        &mut self,
        named: Named,
        how: &How,
        records: &mut SidecarWrites,
    ) -> Result<Result<()>> {
        if let Err(stale) = self.is_out(named) {
            return Ok(Err(stale));
        }
        let (now, delivery) = (self.clock.now(), named.delivery);
        self.changed = true;
        let stale = |stale| refused(&self.name, stale);
        match how {
            How::Ack => match self.machine.resolved(delivery) {
                Ok(resolved) => {
                    self.acknowledged(&resolved, records);
                    Ok(Ok(()))
                }
                Err(e) => Ok(Err(stale(e))),
            },
            How::GiveBack => Ok(self.machine.give_back(delivery).map_err(stale)),
            How::Touch => Ok(self.machine.touch(delivery, now).map_err(stale)),
            How::Nack { delay, reason } => {
                let delay = delay.map_or_else(|| Delay::Backoff(chance()), Delay::For);
                match self.machine.fail(delivery, now, delay, None) {
                    Ok(Failed::Last(dead)) => {
                        let _ = self.machine.resolved(delivery);
                        let refused = || format!("was refused after {} deliveries", dead.deliveries);
                        let error = reason.clone().unwrap_or_else(refused);
                        self.set_aside(&dead, error, records).await.map(Ok)
                    }
                    Ok(Failed::Again { .. }) => Ok(Ok(())),
                    Err(e) => Ok(Err(stale(e))),
                }
            }
            How::Park(reason) => match self.machine.resolved(delivery) {
                Ok(dead) => self.set_aside(&dead, reason.clone(), records).await.map(Ok),
                Err(e) => Ok(Err(stale(e))),
            },
        }
    }

    /// Extends a delivery's deadline; not on disk, since it is resolved soon.
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

    fn acknowledged(&mut self, resolved: &Resolved, records: &mut SidecarWrites) {
        self.row.acknowledged = self.row.acknowledged.saturating_add(1);
        // Also a dead letter from before the consumer was reset.
        self.dead_letter_queue.take(records, Position::new(resolved.position));
    }

    /// The event becomes a dead letter.
    pub(super) async fn set_aside(
        &mut self,
        dead: &Resolved,
        error: String,
        records: &mut SidecarWrites,
    ) -> Result<()> {
        self.changed = true;
        let position = Position::new(dead.position);
        // A dead letter that was dropped while it was being redelivered stays dropped.
        if dead.again && !self.dead_letter_queue.has(position) {
            return Ok(());
        }
        // Of what is gone nothing is left to replay.
        let Some(event) = self.recorded(&dead.place, (dead.sequence, dead.position)).await? else {
            return Ok(());
        };
        let (queue, now) = (self.dead_letter_queue.clone(), Timestamp::from_micros(self.clock.now()));
        let buried = if dead.again {
            let dead = dead.clone();
            let (there, again) = unblocked(move || {
                let mut again = SidecarWrites::new();
                Ok((queue.bury(&mut again, &event, &dead, error, now)?, again))
            })
            .await?;
            records.extend(again);
            there
        } else {
            queue.bury(records, &event, dead, error, now)?
        };
        self.row.set_aside = self.row.set_aside.saturating_add(u64::from(buried));
        Ok(())
    }

    /// The append and the acknowledgement in one transaction. The inner error is the caller's: nothing has changed.
    pub(super) async fn ack_with(&mut self, named: Named, batch: Batch) -> Result<Result<Receipt>> {
        let mut tries = 0;
        loop {
            if let Err(stale) = self.is_out(named) {
                if self.is_current().await? {
                    return Ok(Err(stale));
                }
            } else if let Some(answer) = self.try_ack_with(named, &batch).await? {
                return Ok(answer);
            }
            self.overtaken(tries).await?;
            tries += 1;
        }
    }

    /// `None` when another handle was first.
    async fn try_ack_with(&mut self, named: Named, batch: &Batch) -> Result<Option<Result<Receipt>>> {
        let row = self.row.clone();
        let mut records = SidecarWrites::new();
        let before = self.machine.before(named.delivery);
        let (before, resolved) = match before.and_then(|b| Ok((b, self.machine.resolved(named.delivery)?))) {
            Ok(resolved) => resolved,
            Err(stale) => return Ok(Some(Err(refused(&self.name, stale)))),
        };
        let _writing = self.dead_letter_queue.writing();
        let was_dead_letter = self.dead_letter_queue.has(Position::new(resolved.position));
        self.acknowledged(&resolved, &mut records);
        let next = self.put(&mut records);
        fault!(AppendsApart, {
            if let Ok(receipt) = self.handle.append_async(batch.clone()).await {
                self.handle.write_records_async(records).await?;
                self.written(next);
                return Ok(Some(Ok(receipt)));
            }
        });
        let mut appended = self.handle.append_async(batch.clone().records(records.clone())).await;
        if matches!(appended, Err(Error::RecordChanged { .. })) && self.is_current().await? {
            // Its events were appended before, without the acknowledgement.
            appended = self.handle.append_async(batch.clone()).await;
            if appended.is_ok()
                && let Err(error) = self.handle.write_records_async(records).await
            {
                appended = Err(error);
            }
        }
        match appended {
            Ok(receipt) => {
                self.written(next);
                Ok(Some(Ok(receipt)))
            }
            Err(error @ (Error::Unknown { .. } | Error::Storage { .. } | Error::Closed { .. })) => Err(error),
            Err(Error::RecordChanged { .. }) => Ok(None),
            Err(refused) => {
                self.machine.restore(before);
                next.lanes().for_each(|place| self.machine.mark(place));
                self.row = row;
                if was_dead_letter {
                    self.dead_letter_queue.keep(Position::new(resolved.position));
                }
                Ok(Some(Err(refused)))
            }
        }
    }
}

fn refused(consumer: &str, stale: Stale) -> Error {
    let reason = match stale {
        Stale::Over => "it is already resolved, or its event was redelivered since",
        Stale::Never => "there was no such delivery",
    };
    Error::NotDelivered { consumer: consumer.to_owned(), reason: reason.into() }
}
