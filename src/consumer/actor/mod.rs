//! The task of a consumer: it owns the state machine, and writes what the machine decides before anyone is answered.
//! It
//! does not hold the store open: it ends with the store, or with its last worker.

mod at_hand;
mod clock;
mod deliver;
mod resolve;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::call::{Call, Offer, Reply, Returned};
use super::config::ConsumerConfig;
use super::dead_letter_queue::DeadLetterQueue;
use super::machine::Machine;
use crate::codec::ConsumerRow;
use crate::error::{Error, Result};
use crate::event::{Filter, Sequence};
use crate::follow::{Followed, Following};
use crate::limits::CONSUMER_GROUP;
use crate::store::{SidecarTable, SidecarWrites, StoreHandle, unblocked};
use at_hand::AtHand;
use clock::Clock;

/// After this many positions without a matching event, progress is written …
const STRIDE: u64 = 4_096;

/// … and after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a task is started with.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) handle: StoreHandle,
    pub(super) row: ConsumerRow,
    pub(super) config: ConsumerConfig,
    pub(super) dead_letter_queue: DeadLetterQueue,
    pub(super) following: Following,
    pub(super) end: watch::Receiver<bool>,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) ended: Arc<OnceLock<Error>>,
}

pub(super) struct Actor {
    handle: StoreHandle,
    name: String,
    row: ConsumerRow,
    config: ConsumerConfig,
    filter: Filter,
    except: Option<Filter>,
    machine: Machine,
    dead_letter_queue: DeadLetterQueue,
    following: Following,
    end: watch::Receiver<bool>,
    calls: mpsc::Receiver<Call>,
    ended: Arc<OnceLock<Error>>,
    returned: Arc<Returned>,
    clock: Clock,
    /// Workers that ask for an event, and whether they wait for one.
    asking: VecDeque<(bool, Reply<Option<Offer>>)>,
    inbox: VecDeque<Call>,
    at_hand: AtHand,
    /// Dead letters were replayed, or may have been.
    rung: bool,
    /// The record has to be written before anyone is answered.
    changed: bool,
    saved: u64,
    /// When progress over skipped events is to be written.
    save_at: Option<Instant>,
}

/// What is answered once everything is written.
#[derive(Default)]
struct Answers {
    resolved: Vec<Reply<()>>,
    offers: Vec<(Reply<Option<Offer>>, Offer)>,
}

impl Actor {
    pub(super) fn new(start: Start) -> Self {
        let Start { name, handle, row, config, dead_letter_queue, following, end, calls, ended } = start;
        let clock = Clock::new();
        let (filter, except) = config.filters(handle.catalogue());
        let machine = Machine::load(config.rules(), row.scanned, row.next_delivery, &row.lanes, clock.now());
        let saved = row.scanned;
        let returned = Arc::new(Returned::new(handle.process().clone()));
        Self {
            handle,
            name,
            row,
            config,
            filter,
            except,
            machine,
            dead_letter_queue,
            following,
            end,
            calls,
            ended,
            returned,
            clock,
            asking: VecDeque::new(),
            inbox: VecDeque::new(),
            at_hand: AtHand::default(),
            rung: true,
            changed: false,
            saved,
            save_at: None,
        }
    }

    /// The task's main loop.
    pub(super) async fn run(mut self) {
        let error = match self.work().await {
            Ok(()) => Error::Closed { after: None },
            Err(error) => {
                if !matches!(error, Error::Closed { .. }) {
                    tracing::error!(consumer = self.name, %error, "a consumer has stopped");
                }
                // The in-memory state of dead letters may differ from what was written.
                self.dead_letter_queue.forget();
                error
            }
        };
        let _ = self.ended.set(error.clone());
        let error = self.ended.get().cloned().unwrap_or(error);
        let Self { following, handle, dead_letter_queue, mut calls, asking, mut inbox, .. } = self;
        // The file is released before the end of the task becomes visible.
        drop((following, handle, dead_letter_queue));
        calls.close();
        asking.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        while let Some(call) = inbox.pop_front().or_else(|| calls.try_recv().ok()) {
            refuse(call, &error);
        }
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            let on = self.turn().await?;
            if !on || *self.end.borrow() {
                return self.leave().await;
            }
            if !self.inbox.is_empty() {
                continue;
            }
            let more = self.machine.wants_more(self.asking.len());
            if self.machine.scanned() > self.saved {
                self.save_at.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            let due = self.machine.next_due().map(|due| self.clock.instant(due));
            let due = [due, self.save_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                call = self.calls.recv() => match call {
                    Some(call) => self.inbox.push_back(call),
                    None => return self.leave().await,
                },
                _ = self.end.changed() => {}
                item = next(&mut self.following), if more => match item {
                    Some(item) => self.scan(item?),
                    None => return self.leave().await,
                },
                () = until(due) => {}
                () = self.returned.rung() => {}
                () = self.dead_letter_queue.rung() => self.rung = true,
            }
        }
    }

    /// Handles all pending calls in one commit. `false` if it was asked to end.
    async fn turn(&mut self) -> Result<bool> {
        let mut answers = Answers::default();
        let mut records = SidecarWrites::new();
        let mut bound = Vec::new();
        let mut on = true;
        // Also checked here: with calls always pending, the signal is never awaited.
        if std::mem::take(&mut self.rung) | self.dead_letter_queue.has_rung() {
            self.take_dead_letters_back(&mut records).await?;
        }
        for _ in 0..CONSUMER_GROUP {
            let Some(call) = self.inbox.pop_front().or_else(|| self.calls.try_recv().ok()) else { break };
            match call {
                Call::Next { patient, reply } => self.asking.push_back((patient, reply)),
                Call::Resolve { named, how, reply } => match self.resolve(named, how, &mut records).await? {
                    Ok(()) => answers.resolved.push(reply),
                    Err(stale) => drop(reply.send(Err(stale))),
                },
                Call::AckWith { named, batch, reply } => {
                    // It arrived in time, and gets its own commit after this one.
                    self.hold(named);
                    bound.push((named, batch, reply));
                }
                Call::Reset { following, since, reply } => {
                    self.row.since = since;
                    self.reset(*following, &mut records).await?;
                    answers.resolved.push(reply);
                }
                Call::End => on = false,
            }
        }
        self.take_returned();
        for dead in self.machine.expire(self.clock.now()) {
            let error = format!("was not acknowledged in time after {} deliveries", dead.deliveries);
            self.set_aside(&dead, error, &mut records).await?;
        }
        if on {
            self.hand_out(&mut answers, &mut records).await?;
        }
        self.save(records).await?;
        answers.resolved.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
        // A worker that has gone in the meantime drops the offer, which returns it.
        answers.offers.into_iter().for_each(|(reply, offer)| drop(reply.send(Ok(Some(offer)))));
        for (named, batch, reply) in bound {
            let answer = self.ack_with(named, *batch).await?;
            let _ = reply.send(answer);
        }
        Ok(on)
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
            let sequence = dead_letter.at.sequence().map_or(0, Sequence::get);
            self.machine.replay(dead_letter.at.place(), sequence, dead_letter.position.get());
        }
        Ok(())
    }

    async fn reset(&mut self, following: Following, records: &mut SidecarWrites) -> Result<()> {
        let (next, begin) = (self.machine.next_delivery(), following.begun());
        self.machine = Machine::load(self.config.rules(), begin, next, &[], self.clock.now());
        self.following = following;
        self.at_hand.clear();
        self.changed = true;
        self.take_dead_letters_back(records).await
    }

    fn put_row(&mut self, records: &mut SidecarWrites) {
        self.row.scanned = self.machine.scanned();
        self.row.next_delivery = self.machine.next_delivery();
        self.row.lanes = self.machine.rows();
        records.put(SidecarTable::Consumers, super::info::key(&self.name), self.row.encode());
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
        self.put_row(&mut records);
        (self.saved, self.save_at) = (self.machine.scanned(), None);
        self.handle.write_records_async(if durable { records } else { records.relaxed() }).await
    }

    /// On shutdown: unreceived deliveries are returned, and the progress is written.
    async fn leave(&mut self) -> Result<()> {
        self.take_returned();
        self.changed |= self.machine.scanned() > self.saved;
        // The store may accept nothing more.
        if *self.end.borrow() {
            return Err(Error::Closed { after: None });
        }
        self.save(SidecarWrites::new()).await
    }
}

async fn next(following: &mut Following) -> Option<Result<Followed>> {
    following.next().await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn refuse(call: Call, error: &Error) {
    match call {
        Call::Next { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::Resolve { reply, .. } | Call::Reset { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::AckWith { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::End => {}
    }
}
