//! One turn: everything that workers ask for becomes one commit, and they are answered once it is written. When another
//! process was first, what was decided is dropped, and decided anew over what that one has written.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::call::{Call, Offer, Reply, refuse};
use super::super::kept::Rewritten;
use super::Actor;
use super::doubt::Doubt;
use crate::delivery::{Machine, Writing};
use crate::error::{Error, Result};
use crate::event::Sequence;
use crate::limits::CONSUMER_GROUP;
use crate::store::{SidecarWrites, unblocked};
use crate::sync::fault;
#[cfg(test)]
use crate::sync::task::Runtime;
use crate::sync::time::Instant;

/// After this many positions without a matching event, progress is written.
const STRIDE: u64 = 4_096;

/// After this many times that another handle was first, less is tried at once.
const PATIENT_TRIES: u32 = 4;

/// What was decided, and is answered once it is written.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) records: SidecarWrites,
    /// What becomes of each call that is answered with the commit.
    outcomes: Vec<Option<Result<()>>>,
    pub(super) offers: Vec<(bool, Reply<Option<Offer>>, Offer)>,
    /// There is no event for these, which do not wait.
    pub(super) nothing: Vec<Reply<Option<Offer>>>,
    writing: Option<Writing>,
}

impl Decided {
    /// It was not written, or nobody knows whether it was. Says what it would have handed out.
    fn give_up(self, error: &Error) -> Vec<u64> {
        self.nothing.into_iter().for_each(|reply| answer(reply, error));
        let offers = self.offers.into_iter().map(|(_, reply, offer)| {
            answer(reply, error);
            let delivery = offer.named.delivery;
            offer.withdraw();
            delivery
        });
        offers.collect()
    }
}

/// For one whose call was not answered. When the consumer ends with this error, it is told why after it has ended.
fn answer<T>(reply: Reply<T>, error: &Error) {
    if error.is_passing() {
        drop(reply.send(Err(error.clone())));
    }
}

fn unanswered(call: Call, error: &Error) {
    if error.is_passing() {
        refuse(call, error);
    }
}

impl Actor {
    /// Handles all pending calls in one commit.
    pub(super) async fn turn(&mut self) -> Result<()> {
        let calls = self.gather();
        let mut decided = Decided::default();
        if let Err(error) = self.settle(&calls, &mut decided).await {
            let offered = decided.give_up(&error);
            let is_known = !matches!(error, Error::Unknown { .. });
            self.doubt = (!is_known).then_some(Doubt { turn: self.kept.row.turn, offered });
            calls.into_iter().for_each(|call| unanswered(call, &error));
            return Err(error);
        }
        self.unreceived.clear();
        let mut bound = VecDeque::new();
        for (call, outcome) in calls.into_iter().zip(decided.outcomes) {
            match (call, outcome) {
                (Call::Resolve { reply, .. } | Call::Reset { reply, .. }, Some(outcome)) => {
                    drop(reply.send(outcome));
                }
                (call @ Call::AckWith { .. }, _) => bound.push_back(call),
                _ => {}
            }
        }
        decided.nothing.into_iter().for_each(|reply| drop(reply.send(Ok(None))));
        // A worker that has gone in the meantime drops the offer, which returns it.
        decided.offers.into_iter().for_each(|(_, reply, offer)| drop(reply.send(Ok(Some(offer)))));
        while let Some(call) = bound.pop_front() {
            let Call::AckWith { named, batch, reply } = call else { continue };
            match self.ack_with(named, *batch).await {
                Ok(answer) => drop(reply.send(answer)),
                Err(error) => {
                    answer(reply, &error);
                    bound.into_iter().for_each(|call| unanswered(call, &error));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Decides and writes, until no other handle was first.
    async fn settle(&mut self, calls: &[Call], decided: &mut Decided) -> Result<()> {
        self.catch_up(calls.is_empty() && self.asking.is_empty()).await?;
        let mut tries = 0;
        loop {
            self.decide(calls, tries, decided).await?;
            fault!(HandsOutFirst, {
                let offers = decided.offers.drain(..);
                offers.for_each(|(_, reply, offer)| drop(reply.send(Ok(Some(offer)))));
                crate::sync::point();
            });
            let refuses = decided.outcomes.iter().any(|outcome| matches!(outcome, Some(Err(_))));
            let written = match refuses && !self.is_current().await? {
                true => Err(Error::RecordChanged { record: self.name.clone() }),
                false => self.save(std::mem::take(&mut decided.records)).await,
            };
            match written {
                Err(Error::RecordChanged { .. }) => {
                    self.undo(std::mem::take(decided));
                    self.overtaken(tries).await?;
                    tries += 1;
                }
                written => return written,
            }
        }
    }

    /// What a turn begins with.
    fn gather(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        for _ in 0..CONSUMER_GROUP {
            let Some(call) = self.inbox.pop_front().or_else(|| self.calls.try_recv().ok()) else { break };
            match call {
                Call::Next { patient, reply } => self.asking.push_back((patient, reply)),
                Call::End => self.ends = true,
                call => calls.push(call),
            }
        }
        self.unreceived.extend(self.returned.take());
        calls
    }

    async fn decide(&mut self, calls: &[Call], tries: u32, decided: &mut Decided) -> Result<()> {
        // Also checked here: with calls always pending, the signal is never awaited.
        if std::mem::take(&mut self.rung) | self.dead_letter_queue.has_rung() {
            self.take_dead_letters_back(&mut decided.records).await?;
        }
        decided.writing = Some(self.dead_letter_queue.writing());
        for call in calls {
            let outcome = match call {
                Call::Resolve { named, how, .. } => {
                    Some(self.resolve(*named, how, &mut decided.records).await?)
                }
                Call::AckWith { named, .. } => {
                    // It arrived in time, and gets its own commit after this one.
                    self.hold(*named);
                    None
                }
                Call::Reset { begin, since, .. } => {
                    self.row.since = *since;
                    self.reset(*begin, &mut decided.records).await?;
                    Some(Ok(()))
                }
                Call::Next { .. } | Call::End => None,
            };
            decided.outcomes.push(outcome);
        }
        self.give_back();
        for dead in self.machine.expire(self.clock.now()) {
            let error = format!("was not acknowledged in time after {} deliveries", dead.deliveries);
            self.set_aside(&dead, error, &mut decided.records).await?;
        }
        // One that is overtaken again and again writes what it has to answer, and looks for more another time.
        match tries < PATIENT_TRIES {
            true if self.ends => {}
            true => self.hand_out(decided).await?,
            false => self.owes = true,
        }
        Ok(())
    }

    /// What was decided did not come to be: those who asked for events ask again.
    fn undo(&mut self, decided: Decided) {
        decided.nothing.into_iter().for_each(|reply| self.asking.push_front((false, reply)));
        for (patient, reply, offer) in decided.offers.into_iter().rev() {
            offer.withdraw();
            self.asking.push_front((patient, reply));
        }
    }

    /// Deliveries that were never received do not count.
    fn give_back(&mut self) {
        for delivery in &self.unreceived {
            // One that is resolved meanwhile was received after all.
            let _ = self.machine.give_back(*delivery);
            self.changed = true;
        }
    }

    /// It is read what is stored, so that is known. A number that was not written is another delivery's by now.
    pub(super) fn is_known(&mut self) {
        let Some(Doubt { turn, offered }) = self.doubt.take() else { return };
        if (self.kept.row.writer, self.kept.row.turn) == (self.writer, turn.saturating_add(1)) {
            self.unreceived = offered;
        }
    }

    /// Queues replayed dead letters.
    async fn take_dead_letters_back(&mut self, records: &mut SidecarWrites) -> Result<()> {
        let dead_letter_queue = self.dead_letter_queue.clone();
        let (dead_letters, handled) = unblocked(move || {
            let mut handled = SidecarWrites::new();
            Ok((dead_letter_queue.sent_again(&mut handled)?, handled))
        })
        .await?;
        records.extend(handled);
        for dead_letter in dead_letters {
            // The consumer was reset: it comes to that event anyway.
            if dead_letter.position.get() > self.machine.scanned() {
                continue;
            }
            let sequence = dead_letter.at.sequence().map_or(0, Sequence::get);
            self.machine.replay(
                &Arc::new(dead_letter.at.place().clone()),
                sequence,
                dead_letter.position.get(),
            );
        }
        Ok(())
    }

    async fn reset(&mut self, begin: u64, records: &mut SidecarWrites) -> Result<()> {
        let next = self.machine.next_delivery();
        self.follow_after(begin).await?;
        self.machine = Machine::load(self.config.rules(), begin, next, &[], self.clock.now());
        self.kept.lanes().iter().for_each(|lane| self.machine.mark(&lane.place));
        self.changed = true;
        self.take_dead_letters_back(records).await
    }

    /// Adds what is to be stored, unless another handle has changed it.
    pub(super) fn put(&mut self, records: &mut SidecarWrites) -> Rewritten {
        self.row.scanned = self.machine.scanned();
        self.row.mark = self.seen.filter(|(position, _)| *position == self.row.scanned).map(|(_, mark)| mark);
        self.row.next_delivery = self.machine.next_delivery();
        self.kept.write(&self.row, self.machine.take_changes(), self.writer, records)
    }

    pub(super) fn written(&mut self, next: Rewritten) {
        self.kept.written(next);
        self.unsaved.clear();
        (self.saved, self.save_at) = (self.machine.scanned(), None);
    }

    /// Writes what has changed. Progress over skipped events is written only occasionally, and may be lost: they are
    /// skipped again.
    async fn save(&mut self, mut records: SidecarWrites) -> Result<()> {
        let strode = self.machine.scanned() >= self.saved.saturating_add(STRIDE)
            || self.save_at.is_some_and(|at| at <= Instant::now());
        if !self.changed && !strode && records.is_empty() {
            return Ok(());
        }
        let durable = std::mem::take(&mut self.changed) || !records.is_empty();
        let next = self.put(&mut records);
        fault!(AnswersFirst, {
            let handle = self.handle.clone();
            let writing = async move { handle.write_records_async(records).await };
            drop(Runtime::current().map(|runtime| runtime.spawn(writing)));
            self.written(next);
            return Ok(());
        });
        self.handle.write_records_async(if durable { records } else { records.relaxed() }).await?;
        self.written(next);
        Ok(())
    }

    /// On shutdown: unreceived deliveries are returned, and the progress is written.
    pub(super) async fn leave(&mut self) -> Result<()> {
        // There is nobody who could go on with it another time.
        self.ends = true;
        self.unreceived.extend(self.returned.take());
        let mut tries = 0;
        loop {
            self.give_back();
            self.changed |= self.machine.scanned() > self.saved;
            // The store may accept nothing more.
            if *self.end.borrow() {
                return Err(Error::Closed { after: None });
            }
            match self.save(SidecarWrites::new()).await {
                // Without it, deliveries end with their deadline, and what was skipped is skipped again.
                Err(Error::RecordChanged { .. }) if tries > PATIENT_TRIES => return Ok(()),
                Err(Error::RecordChanged { .. }) => self.overtaken(tries).await?,
                written => return written,
            }
            tries += 1;
        }
    }
}
