//! The task behind a consumer: it alone holds the machine, and writes what the machine decides before anybody is told.
//!
//! It holds no handle of the store, which would keep it open: it ends with the store, or with its last worker.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_core::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::call::{Call, How, Named, Offer, Reply, Returned};
use super::config::ConsumerConfig;
use super::letter::Letter;
use super::letters::Letterbox;
use super::machine::{Look, Machine, Settled, Stale, Taken};
use crate::codec::ConsumerRow;
use crate::error::{Error, Result};
use crate::event::{Event, Filter, Place, Position, Sequence, Timestamp};
use crate::follow::{Followed, Following, unblocked};
use crate::limits::{CONSUMER_GROUP, DEFAULT_PAGE};
use crate::store::{Batch, Desk, Marks, Range, Receipt, Shape, Shelf};

/// Events that were read on the way and may be handed out soon.
const AT_HAND: usize = 512;
/// Positions after which it is written, now and then, how far nothing was wanted.
const STRIDE: u64 = 4_096;

/// Time that does not jump: the wall clock when it began, and what has passed since.
#[derive(Clone, Copy)]
struct Clock {
    wall: i64,
    begun: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { wall: Timestamp::now().micros(), begun: Instant::now() }
    }

    fn now(self) -> i64 {
        let passed = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.wall.saturating_add(passed)
    }

    fn instant(self, at: i64) -> Instant {
        let ahead = u64::try_from(at.saturating_sub(self.wall)).unwrap_or(0);
        self.begun + std::time::Duration::from_micros(ahead)
    }
}

/// What a task is started with.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) desk: Desk,
    pub(super) row: ConsumerRow,
    pub(super) config: ConsumerConfig,
    pub(super) letterbox: Letterbox,
    pub(super) following: Following,
    pub(super) end: watch::Receiver<bool>,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) ended: Arc<OnceLock<Error>>,
}

pub(super) struct Actor {
    desk: Desk,
    name: String,
    row: ConsumerRow,
    config: ConsumerConfig,
    filter: Filter,
    except: Option<Filter>,
    machine: Machine,
    letterbox: Letterbox,
    following: Following,
    end: watch::Receiver<bool>,
    calls: mpsc::Receiver<Call>,
    ended: Arc<OnceLock<Error>>,
    returned: Arc<Returned>,
    clock: Clock,
    /// Who asks for an event, and whether they wait for one.
    asking: VecDeque<(bool, Reply<Option<Offer>>)>,
    inbox: VecDeque<Call>,
    at_hand: HashMap<u64, Event>,
    /// The row has to be written before anybody is answered.
    changed: bool,
    saved: u64,
}

/// What is answered once everything is written.
#[derive(Default)]
struct Answers {
    settled: Vec<Reply<()>>,
    offers: Vec<(Reply<Option<Offer>>, Offer)>,
}

impl Actor {
    pub(super) fn new(start: Start) -> Self {
        let Start { name, desk, row, config, letterbox, following, end, calls, ended } = start;
        let clock = Clock::new();
        let (filter, except) = config.filters();
        let machine = Machine::load(config.rules(), row.scanned, row.next_delivery, &row.lanes, clock.now());
        let saved = row.scanned;
        Self {
            desk,
            name,
            row,
            config,
            filter,
            except,
            machine,
            letterbox,
            following,
            end,
            calls,
            ended,
            returned: Arc::default(),
            clock,
            asking: VecDeque::new(),
            inbox: VecDeque::new(),
            at_hand: HashMap::new(),
            changed: false,
            saved,
        }
    }

    /// The task's life.
    pub(super) async fn run(mut self) {
        let error = match self.work().await {
            Ok(()) => Error::Closed { after: None },
            Err(error) => {
                if !matches!(error, Error::Closed { .. }) {
                    tracing::error!(consumer = self.name, %error, "a consumer has stopped");
                }
                error
            }
        };
        let _ = self.ended.set(error.clone());
        let error = self.ended.get().cloned().unwrap_or(error);
        let Self { following, mut calls, asking, mut inbox, .. } = self;
        // The file is let go of before anybody can see that the task has ended.
        drop(following);
        calls.close();
        asking.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        while let Some(call) = inbox.pop_front().or_else(|| calls.try_recv().ok()) {
            refuse(call, &error);
        }
    }

    async fn work(&mut self) -> Result<()> {
        self.take_letters_back()?;
        let mut rung = false;
        loop {
            if std::mem::take(&mut rung) {
                self.take_letters_back()?;
            }
            let on = self.turn().await?;
            if !on || *self.end.borrow() {
                return self.leave().await;
            }
            if !self.inbox.is_empty() {
                continue;
            }
            let more = self.machine.wants_more(self.asking.len());
            let due = self.machine.next_due().map(|due| self.clock.instant(due));
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
                () = self.letterbox.rung() => rung = true,
            }
        }
    }

    /// Everything that was asked for by now, in one commit. `false` when it was asked to end.
    async fn turn(&mut self) -> Result<bool> {
        let mut answers = Answers::default();
        let mut marks = Marks::new();
        let mut bound = Vec::new();
        let mut on = true;
        for _ in 0..CONSUMER_GROUP {
            let Some(call) = self.inbox.pop_front().or_else(|| self.calls.try_recv().ok()) else { break };
            match call {
                Call::Next { patient, reply } => self.asking.push_back((patient, reply)),
                Call::Settle { named, how, reply } => match self.settle(named, how, &mut marks)? {
                    Ok(()) => answers.settled.push(reply),
                    Err(stale) => drop(reply.send(Err(stale))),
                },
                Call::AckWith { named, batch, reply } => bound.push((named, batch, reply)),
                Call::Reset { following, reply } => {
                    self.reset(*following)?;
                    answers.settled.push(reply);
                }
                Call::End => on = false,
            }
        }
        self.take_returned();
        for dead in self.machine.expire(self.clock.now()) {
            let error = format!("was not acknowledged in time after {} deliveries", dead.deliveries);
            self.set_aside(&dead, error, &mut marks)?;
        }
        if on {
            self.hand_out(&mut answers, &mut marks).await?;
        }
        self.save(marks).await?;
        answers.settled.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
        // Who has gone meanwhile drops the offer, which brings it back.
        answers.offers.into_iter().for_each(|(reply, offer)| drop(reply.send(Ok(Some(offer)))));
        for (named, batch, reply) in bound {
            let answer = self.ack_with(named, *batch).await?;
            let _ = reply.send(answer);
        }
        Ok(on)
    }

    /// Deliveries that nobody received were none.
    fn take_returned(&mut self) {
        for delivery in self.returned.take() {
            self.machine.give_back(delivery);
            self.changed = true;
        }
    }

    /// Gives events to those who ask, as far as there are any.
    async fn hand_out(&mut self, answers: &mut Answers, marks: &mut Marks) -> Result<()> {
        self.asking.retain(|(_, reply)| !reply.is_closed());
        while !self.asking.is_empty() {
            self.look().await?;
            self.glance()?;
            let Some(taken) = self.machine.take(self.clock.now()) else { break };
            self.changed = true;
            let named = Named { delivery: taken.delivery, position: taken.position };
            if taken.again && !self.letterbox.has(Position::new(taken.position)) {
                let _ = self.machine.settled(taken.delivery);
                continue;
            }
            let event = match self.event(&taken).await? {
                Ok(event) => event,
                Err(error) => {
                    if let Ok(dead) = self.machine.settled(taken.delivery) {
                        self.set_aside(&dead, error.to_string(), marks)?;
                    }
                    continue;
                }
            };
            let Some((_, reply)) = self.asking.pop_front() else { break };
            let (deliveries, returned) = (taken.deliveries, self.returned.clone());
            answers.offers.push((reply, Offer { event: Some(event), deliveries, named, returned }));
        }
        if self.machine.wants_more(self.asking.len()) && !self.is_caught_up()? {
            return Ok(());
        }
        // Nobody has an event for those who do not wait.
        for (patient, reply) in std::mem::take(&mut self.asking) {
            match patient {
                true => self.asking.push_back((patient, reply)),
                false => drop(reply.send(Ok(None))),
            }
        }
        Ok(())
    }

    /// Finds the next events of branches that were settled up to their last one.
    async fn look(&mut self) -> Result<()> {
        while let Some(look) = self.machine.look(self.asking.len()) {
            let page = self.read(&look).await?;
            let until = page.last().map_or(look.until, |event| event.sequence().get());
            let wanted = page.into_iter().find(|event| self.wants(event));
            let found = wanted.as_ref().map(|event| (event.sequence().get(), event.position().get()));
            self.machine.found(&Look { until, ..look }, found);
            if let Some(event) = wanted {
                self.keep(event);
            }
        }
        Ok(())
    }

    /// Takes what is at hand of the global order, without waiting for it.
    fn glance(&mut self) -> Result<()> {
        while self.machine.wants_more(self.asking.len()) {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match Pin::new(&mut self.following).poll_next(&mut context) {
                Poll::Ready(Some(item)) => self.scan(item?),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn scan(&mut self, item: Followed) {
        let Followed::Event { event, .. } = item else { return };
        let wanted = self.wants(&event);
        let (sequence, position) = (event.sequence().get(), event.position().get());
        self.machine.scan(event.place(), sequence, position, wanted);
        if wanted {
            self.keep(event);
        }
    }

    fn keep(&mut self, event: Event) {
        if self.at_hand.len() >= AT_HAND {
            self.at_hand.clear();
        }
        self.at_hand.insert(event.position().get(), event);
    }

    /// Whether an event is to be handed out; also one that cannot be made new, which becomes a letter.
    fn wants(&self, event: &Event) -> bool {
        let Ok(reader) = self.desk.reader() else { return true };
        match reader.taken(event.clone(), &self.filter, Shape::Newest) {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(event)) => !self.except.as_ref().is_some_and(|except| except.takes_kind(event.kind())),
        }
    }

    async fn read(&mut self, look: &Look) -> Result<Vec<Event>> {
        let (reader, place) = (self.desk.reader()?, look.place.clone());
        let range = Range { from: look.after + 1, to: look.until, limit: DEFAULT_PAGE / 8, reverse: false };
        unblocked(move || reader.page(&*reader.branch(&place)?, range)).await
    }

    /// The event as it was recorded.
    async fn recorded(&mut self, place: &Place, sequence: u64) -> Result<Event> {
        let look = Look { place: place.clone(), after: sequence.saturating_sub(1), until: sequence };
        let event = self.read(&look).await?.into_iter().next();
        event
            .ok_or_else(|| Error::corrupt(format!("{place}@{sequence}"), "it was delivered and is not there"))
    }

    /// The event to hand out, or why it cannot be.
    async fn event(&mut self, taken: &Taken) -> Result<Result<Event>> {
        let event = match self.at_hand.remove(&taken.position) {
            Some(event) => event,
            None => self.recorded(&taken.place, taken.sequence).await?,
        };
        match self.desk.reader()?.shaped(event) {
            Err(error @ Error::Upcast { .. }) => Ok(Err(error)),
            shaped => shaped.map(Ok),
        }
    }

    /// Whether the global order has nothing more for now.
    fn is_caught_up(&self) -> Result<bool> {
        let (reader, scanned) = (self.desk.reader()?, self.machine.scanned());
        let to = reader.committed();
        match &self.config.session {
            _ if scanned >= to.get() => Ok(true),
            None => Ok(false),
            Some(session) => Ok(reader.page_session(session, Position::new(scanned), to, 1)?.is_empty()),
        }
    }

    /// The inner error is the caller's.
    fn settle(&mut self, named: Named, how: How, marks: &mut Marks) -> Result<Result<()>> {
        if let Err(stale) = self.is_out(named) {
            return Ok(Err(stale));
        }
        let (now, delivery) = (self.clock.now(), named.delivery);
        self.changed = true;
        let stale = |stale| self_stale(&self.name, stale);
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
                    self.set_aside(&dead, error, marks).map(Ok)
                }
                Ok(None) => Ok(Ok(())),
                Err(e) => Ok(Err(stale(e))),
            },
            How::Park(reason) => match self.machine.settled(delivery) {
                Ok(dead) => self.set_aside(&dead, reason, marks).map(Ok),
                Err(e) => Ok(Err(stale(e))),
            },
        }
    }

    fn is_out(&self, named: Named) -> Result<()> {
        match self.machine.is_out(named.delivery) {
            Ok(position) if position == named.position => Ok(()),
            Ok(_) => Err(self_stale(&self.name, Stale::Never)),
            Err(stale) => Err(self_stale(&self.name, stale)),
        }
    }

    fn acknowledged(&mut self, settled: &Settled, marks: &mut Marks) {
        self.row.acknowledged += 1;
        // Also a letter of before the consumer was reset.
        self.letterbox.take(marks, Position::new(settled.position));
    }

    /// The event becomes a letter.
    fn set_aside(&mut self, dead: &Settled, error: String, marks: &mut Marks) -> Result<()> {
        self.changed = true;
        let position = Position::new(dead.position);
        // A letter that was thrown away while it was tried again stays away.
        if dead.again && !self.letterbox.has(position) {
            return Ok(());
        }
        let reader = self.desk.reader()?;
        let sequence = dead.sequence;
        let range = Range { from: sequence, to: sequence, limit: 1, reverse: false };
        let event = reader.page(&*reader.branch(&dead.place)?, range)?.into_iter().next();
        let event = event.ok_or_else(|| {
            Error::corrupt(format!("{}@{sequence}", dead.place), "it was delivered and is not there")
        })?;
        self.row.set_aside += 1;
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

    /// Letters that were sent again take their turn.
    fn take_letters_back(&mut self) -> Result<()> {
        for letter in self.letterbox.again()? {
            let sequence = letter.at.sequence().map_or(0, Sequence::get);
            self.machine.replay(letter.at.place(), sequence, letter.position.get());
        }
        Ok(())
    }

    /// The append and the acknowledgement in one transaction. The inner error is the caller's: nothing has changed.
    async fn ack_with(&mut self, named: Named, batch: Batch) -> Result<Result<Receipt>> {
        if let Err(stale) = self.is_out(named) {
            return Ok(Err(stale));
        }
        let (machine, row) = (self.machine.clone(), self.row.clone());
        let mut marks = Marks::new();
        let settled = match self.machine.settled(named.delivery) {
            Ok(settled) => settled,
            Err(stale) => return Ok(Err(self_stale(&self.name, stale))),
        };
        let was_letter = self.letterbox.has(Position::new(settled.position));
        self.acknowledged(&settled, &mut marks);
        self.put_row(&mut marks);
        match self.desk.append_async(batch.marks(marks)).await {
            Ok(receipt) => {
                self.saved = self.machine.scanned();
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

    fn reset(&mut self, following: Following) -> Result<()> {
        let (next, begin) = (self.machine.next_delivery(), following.begun());
        self.machine = Machine::load(self.config.rules(), begin, next, &[], self.clock.now());
        self.following = following;
        self.at_hand.clear();
        self.changed = true;
        self.take_letters_back()
    }

    fn put_row(&mut self, marks: &mut Marks) {
        self.row.scanned = self.machine.scanned();
        self.row.next_delivery = self.machine.next_delivery();
        self.row.lanes = self.machine.rows();
        marks.put(Shelf::Consumers, super::info::key(&self.name), self.row.encode());
    }

    /// Writes what has changed. What was only passed over is written now and then, and may be lost: it is passed over
    /// again.
    async fn save(&mut self, mut marks: Marks) -> Result<()> {
        let strode = self.machine.scanned() >= self.saved.saturating_add(STRIDE);
        if !self.changed && !strode && marks.is_empty() {
            return Ok(());
        }
        let durable = std::mem::take(&mut self.changed) || !marks.is_empty();
        self.put_row(&mut marks);
        self.saved = self.machine.scanned();
        self.desk.mark_async(if durable { marks } else { marks.relaxed() }).await
    }

    /// The last thing: what nobody received goes back, and how far it came is written.
    async fn leave(&mut self) -> Result<()> {
        self.take_returned();
        self.changed |= self.machine.scanned() > self.saved;
        // The store may take nothing more.
        if *self.end.borrow() {
            return Err(Error::Closed { after: None });
        }
        self.save(Marks::new()).await
    }
}

fn self_stale(consumer: &str, stale: Stale) -> Error {
    let reason = match stale {
        Stale::Over => "it was settled before, or its event was delivered again since",
        Stale::Never => "there was no such delivery",
    };
    Error::NotDelivered { consumer: consumer.to_owned(), reason: reason.into() }
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
        Call::Settle { reply, .. } | Call::Reset { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::AckWith { reply, .. } => drop(reply.send(Err(error.clone()))),
        Call::End => {}
    }
}
