//! The task of a consumer: it owns the state machine, and writes what the machine decides before anyone is answered. It
//! does not hold the store open: it ends with the store, or with its last worker.

mod deliver;
mod doubt;
mod interrupted;
mod reload;
mod resolve;
mod turn;
mod unsaved;
mod wants;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::alarm::Alarm;
use super::call::{Call, Offer, Reply, Returned, refuse};
use super::config::ConsumerConfig;
use super::kept::Kept;
use super::start::writer;
use crate::codec::ConsumerRow;
use crate::delivery::{Clock, DeadLetterQueue, Machine};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::follow::{Followed, Following};
use crate::store::StoreHandle;
use crate::sync::time::Instant;
use doubt::Doubt;
use unsaved::Unsaved;
use wants::Wants;

/// Progress over events that do not match is written after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a task is started with.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) handle: StoreHandle,
    pub(super) kept: Kept,
    pub(super) config: ConsumerConfig,
    pub(super) dead_letter_queue: DeadLetterQueue,
    pub(super) following: Following,
    pub(super) end: watch::Receiver<bool>,
    /// Sent when another handle has changed what consumers keep.
    pub(super) beside: watch::Receiver<()>,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) ended: Arc<OnceLock<Error>>,
    pub(super) alarm: Alarm,
}

pub(super) struct Actor {
    handle: StoreHandle,
    name: String,
    writer: u64,
    /// What is stored, as it was read or written last …
    kept: Kept,
    /// … and what the header is to become.
    row: ConsumerRow,
    config: ConsumerConfig,
    wants: Wants,
    machine: Machine<Event>,
    dead_letter_queue: DeadLetterQueue,
    following: Following,
    end: watch::Receiver<bool>,
    beside: watch::Receiver<()>,
    calls: mpsc::Receiver<Call>,
    ended: Arc<OnceLock<Error>>,
    returned: Arc<Returned>,
    clock: Clock,
    alarm: Alarm,
    /// Workers that ask for an event, and whether they wait for one.
    asking: VecDeque<(bool, Reply<Option<Offer>>)>,
    inbox: VecDeque<Call>,
    /// It was asked to end, or has no worker any more.
    ends: bool,
    /// Deliveries that were never received, and are not written as such.
    unreceived: Vec<u64>,
    doubt: Option<Doubt>,
    /// Dead letters were replayed, or may have been.
    rung: bool,
    /// Another handle has changed consumers since this one was read; at the latest it is read again then.
    behind: Option<Instant>,
    /// Another handle was ever heard of.
    has_company: bool,
    /// The last event that was scanned: its position and its mark.
    seen: Option<(u64, u64)>,
    /// What was scanned since it was stored, in order.
    unsaved: Vec<Unsaved>,
    /// Workers were left without a look for their events, which comes next.
    owes: bool,
    /// The record has to be written before anyone is answered.
    changed: bool,
    saved: u64,
    /// When progress over skipped events is to be written.
    save_at: Option<Instant>,
}

impl Actor {
    pub(super) fn new(start: Start) -> Self {
        let Start {
            name,
            handle,
            kept,
            config,
            dead_letter_queue,
            following,
            end,
            beside,
            calls,
            ended,
            alarm,
        } = start;
        let clock = Clock::new();
        let wants = Wants::new(&config, handle.catalogue());
        let row = kept.row.clone();
        let machine =
            Machine::load(config.rules(), row.scanned, row.next_delivery, &kept.lanes(), clock.now());
        let saved = row.scanned;
        let seen = row.mark.map(|mark| (row.scanned, mark));
        let returned = Arc::new(Returned::new(handle.process().clone()));
        Self {
            handle,
            name,
            writer: writer(),
            kept,
            row,
            config,
            wants,
            machine,
            dead_letter_queue,
            following,
            end,
            beside,
            calls,
            ended,
            seen,
            returned,
            clock,
            alarm,
            asking: VecDeque::new(),
            inbox: VecDeque::new(),
            ends: false,
            unreceived: Vec::new(),
            doubt: None,
            rung: true,
            behind: None,
            has_company: false,
            unsaved: Vec::new(),
            owes: false,
            changed: false,
            saved,
            save_at: None,
        }
    }

    /// The task's main loop.
    pub(super) async fn run(mut self) {
        let ended = loop {
            match self.work().await {
                Err(error) if error.is_passing() && !*self.end.borrow() => {
                    if let Err(error) = self.interrupted(error).await {
                        break Err(error);
                    }
                }
                ended => break ended,
            }
        };
        let error = match ended {
            Ok(()) => Error::Closed { after: None },
            Err(error) => {
                match error {
                    Error::Closed { .. } => {}
                    Error::NotFound { .. } => tracing::info!(consumer = self.name, "a consumer was removed"),
                    _ => tracing::error!(consumer = self.name, %error, "a consumer has stopped"),
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
            self.turn().await?;
            if self.ends || *self.end.borrow() {
                return self.leave().await;
            }
            if !self.inbox.is_empty() || std::mem::take(&mut self.owes) {
                continue;
            }
            let more = self.machine.wants_more(self.asking.len());
            if self.machine.scanned() > self.saved {
                self.save_at.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            let due = self.machine.next_due().map(|due| self.clock.instant(due));
            let due = [due, self.save_at, self.behind].into_iter().flatten().min();
            tokio::select! {
                biased;
                call = self.calls.recv() => match call {
                    Some(call) => self.inbox.push_back(call),
                    None => return self.leave().await,
                },
                _ = self.end.changed() => {}
                item = next(&mut self.following), if more => match item {
                    Some(item) => self.scan(item?)?,
                    None => return self.leave().await,
                },
                () = self.alarm.at(due) => {}
                () = self.returned.rung() => {}
                Ok(()) = self.beside.changed() => self.is_behind(),
                () = self.dead_letter_queue.rung() => self.rung = true,
            }
        }
    }
}

async fn next(following: &mut Following) -> Option<Result<Followed>> {
    following.next().await
}
