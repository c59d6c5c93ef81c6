//! Publishing without waiting: a bounded queue, the task that writes it, and the spill for when the store cannot be written.
//!
//! Order: once an event had to go to the spill, what is queued for its branch and what comes later follow it there, until the
//! task has written the queue, drained the spill, and found it empty with no put in progress.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::bus::Bus;
use super::core::{Core, RUNTIME_ENDED};
use super::current;
use super::persist::{Persistence, durability};
use super::phase::{Phase, deadline, over};
use super::publish::{branch_of, ephemeral};
use super::queue::{Queued, Spilling, Unqueued};
use super::spill::Spill;
use crate::error::{Error, Result};
use crate::event::{Address, Expect, NewEvent, Place};
use crate::limits::{NOWAIT_GROUP, SPILL_HELD_LOOK_MS, SPILL_LOOK_MS, SPILL_WAIT_MS};
use crate::store::{Batch, Durability, unblocked};
use crate::sync::time::{sleep, timeout_at};

impl Bus {
    /// Records an event soon, without waiting for the store. It never fails.
    ///
    /// Events are queued in memory and written in order; until then they are lost if the process crashes. If the store
    /// cannot be written, or the queue is full, events go to the [`Spill`](super::spill::Spill) beside the store, which is
    /// synced: only then does the caller wait for a disk. Events that cannot be kept anywhere are counted and logged;
    /// see [`Bus::stats`]. In a forked child it does nothing. [`flush`](Self::flush) waits for what was published so far.
    pub fn publish_nowait<A>(&self, address: A, event: NewEvent)
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let place = address.try_into().map_err(Error::from).and_then(branch_of);
        match place {
            Ok(place) => drop(publish_nowait(self.core(), place, event)),
            Err(error) => refused(self.core(), &event, &error),
        }
    }

    /// Says that subscriptions are in place. What an earlier process left in the [`Spill`](super::spill::Spill) is recorded from now
    /// on, and handlers are given it. Without it, that begins with the first event that is published, or ten seconds after
    /// the bus was opened.
    pub fn ready(&self) {
        self.core().nowait.ready();
    }

    /// Waits until everything published without waiting before this call has been written, spilled or refused. In a
    /// forked child there is nothing to wait for.
    pub async fn flush(&self) {
        if !self.core().shared.handle.process().is_this() {
            return;
        }
        self.ready();
        let (done, is_done) = oneshot::channel();
        if self.core().nowait.flush(done) {
            let _ = is_done.await;
        }
    }
}

/// An event that was refused at once.
pub(super) fn publish_nowait(core: &Arc<Core>, place: Place, event: NewEvent) -> Result<()> {
    core.shared.handle.process().check()?;
    core.nowait.ready();
    core.shared.counts.nowait.fetch_add(1, Relaxed);
    let event = current::stamp(event);
    let persistence = core.settings.rules.of(event.kind());
    // Invalid events are refused now; later they would fail their whole batch.
    let checked = match persistence {
        Some(Persistence::Ephemeral) => ephemeral(core, &place, &event).map(Some),
        _ => event.check().map(|()| None).map_err(Error::from),
    };
    match checked {
        Ok(Some(message)) => {
            core.tell(&message);
            return Ok(());
        }
        Ok(None) => {}
        Err(error) => {
            refused(core, &event, &error);
            return Err(error);
        }
    }
    let mut waiting = core.nowait.lock();
    let (place, event, why) = match waiting.add(place, Box::new(event), persistence) {
        Ok(()) => {
            drop(waiting);
            core.nowait.arrived();
            return Ok(());
        }
        Err(unqueued) => unqueued,
    };
    let error = match why {
        Unqueued::Behind => behind_the_spill(),
        Unqueued::Full => Error::storage("events are published faster than they can be written"),
        Unqueued::Closed => Error::Closed { after: None },
    };
    if spill(core, &[(place, *event)], &error) && why != Unqueued::Behind {
        waiting.spilling = Spilling::All;
        core.nowait.arrived();
    }
    Ok(())
}

pub(super) fn refused(core: &Core, event: &NewEvent, error: &Error) {
    core.shared.counts.dropped.fetch_add(1, Relaxed);
    tracing::warn!(id = %event.id(), kind = event.kind(), %error, "an event was refused; it is dropped");
}

/// Spills events that the store did not accept. Returns whether any was spilled. Blocks.
fn spill(core: &Core, events: &[(Place, NewEvent)], error: &Error) -> bool {
    let kept = put(core, events, events.len(), false);
    events.get(kept..).unwrap_or_default().iter().for_each(|(_, event)| lost(core, event, error));
    kept > 0
}

/// Puts events into the spill, and says how many there was room for; of the first `due` the others are lost. `first`: before
/// what is there.
fn put(core: &Core, events: &[(Place, NewEvent)], due: usize, first: bool) -> usize {
    let Some(spill) = &core.spill else { return 0 };
    let put = spill.put_all(events.iter().map(|(place, event)| (place, event)), due, first);
    let kept = put.unwrap_or(0);
    core.shared.counts.spilled.fetch_add(kept as u64, Relaxed);
    kept
}

fn lost(core: &Core, event: &NewEvent, error: &Error) {
    core.shared.counts.dropped.fetch_add(1, Relaxed);
    tracing::error!(id = %event.id(), kind = event.kind(), %error, "an event could not be recorded; it is lost");
}

/// Whose events are set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of the queue: they are older than what went to the spill since they were queued.
    Queue,
    /// Of who publishes now.
    Publisher,
}

/// [`spill`] for tasks. From now on everything goes there until it was drained; or only what is for the same branch, if that
/// is damaged or was held there before. What is queued for these branches goes with them, under one lock: nothing that is
/// published meanwhile comes before it.
pub(super) async fn set_aside(
    core: &Arc<Core>,
    events: Vec<(Place, NewEvent)>,
    error: Error,
    from: Origin,
) -> bool {
    let putting = core.clone();
    // On the runtime of the caller: that of the bus may have ended.
    unblocked(move || Ok(hold(&putting, events, &error, from))).await.unwrap_or(false)
}

fn hold(core: &Core, mut events: Vec<(Place, NewEvent)>, error: &Error, from: Origin) -> bool {
    let due = events.len();
    let mut waiting = core.nowait.lock();
    let before = waiting.spilling.clone();
    let begins = events.iter().any(|(place, _)| !before.takes(place));
    let first = from == Origin::Queue && events.iter().any(|(place, _)| before.takes(place));
    if begins && error.is_damage() {
        events.iter().for_each(|(place, _)| waiting.spilling.hold(place));
    } else if begins {
        waiting.spilling = Spilling::All;
    }
    // Not before one that is published now and finds earlier ones there.
    if begins || from == Origin::Queue {
        events.extend(waiting.take_covered());
    }
    let kept = put(core, &events, due, first);
    // There may be room for them in the store.
    waiting.put_back(events.split_off(due.max(kept)).into_iter());
    if kept == 0 {
        waiting.spilling = before;
    } else if begins {
        core.nowait.arrived();
    }
    drop(waiting);
    events.iter().skip(kept).for_each(|(_, event)| lost(core, event, error));
    kept > 0
}

/// Why an event goes to the spill while the store can be written.
pub(super) fn behind_the_spill() -> Error {
    Error::storage("earlier events are waiting in the spill")
}

/// Whether later events of this branch have to queue behind those in the spill.
pub(super) fn is_spilling(core: &Core, place: &Place) -> bool {
    core.nowait.lock().spilling.takes(place)
}

/// How long until the spill is to be looked at again.
fn next_look(core: &Core) -> Option<Duration> {
    match core.nowait.lock().spilling {
        Spilling::None => None,
        Spilling::Of(_) => Some(Duration::from_millis(SPILL_HELD_LOOK_MS)),
        Spilling::All => Some(Duration::from_millis(SPILL_LOOK_MS)),
    }
}

/// Drains the spill. When it is empty but for what damaged branches hold there, and no put is in progress, events go to the
/// queue again. Blocks.
fn drain_spill(core: &Core) -> Result<()> {
    let Some(spill) = &core.spill else { return Ok(()) };
    loop {
        let left = spill.drain_but(&core.shared.handle)?.1;
        let mut waiting = core.nowait.lock();
        if spill.is_empty() {
            waiting.spilling = Spilling::None;
            return Ok(());
        }
        // Nothing was put since.
        if !left.damaged.is_empty() && spill.waiting_bytes() == left.bytes {
            waiting.spilling = Spilling::Of(left.damaged);
            return Ok(());
        }
    }
}

async fn look_after_spill(core: &Arc<Core>) {
    let draining = core.clone();
    let drained = core.shared.runtime.spawn_blocking(move || drain_spill(&draining)).await;
    let Ok(Err(error)) = drained else { return };
    let mut waiting = core.nowait.lock();
    // A file that cannot be read, or lines that cannot be moved aside: waiting behind it would lose what the store can record.
    if core.spill.as_ref().is_some_and(Spill::is_out_of_order) {
        waiting.spilling = Spilling::None;
        tracing::error!(%error, "the spill cannot be drained; newly published events go to the store before it");
    } else {
        waiting.spilling = Spilling::All;
        tracing::debug!(%error, "the spill cannot be drained yet");
    }
}

/// Takes room for the spill while there is some.
async fn reserve(core: &Arc<Core>) {
    let Some(spill) = core.spill.clone() else { return };
    // One that fails has logged it.
    let _ = core.shared.runtime.spawn_blocking(move || spill.prepare()).await;
}

/// Waits until subscriptions are in place, which are to be given what an earlier process left in the spill.
async fn in_place(core: &Core, phase: &mut watch::Receiver<Phase>) {
    let mut ready = core.nowait.ready.subscribe();
    tokio::select! {
        _ = ready.wait_for(|ready| *ready) => {}
        () = over(phase) => {}
        () = sleep(Duration::from_millis(SPILL_WAIT_MS)) => {}
    }
}

async fn give_back(core: &Arc<Core>) {
    let Some(spill) = core.spill.clone() else { return };
    let _ = core.shared.runtime.spawn_blocking(move || spill.give_back()).await;
}

/// The task that writes what is queued. When it is dropped, its runtime has ended: what is queued goes to the spill.
pub(super) struct Writing {
    core: Arc<Core>,
    /// An earlier process has left something in the spill, which comes before everything that is queued.
    is_behind: bool,
    is_over: bool,
}

impl Writing {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let is_behind = next_look(&core).is_some();
        Self { core, is_behind, is_over: false }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.core.runtime_has_ended();
        let left = self.core.nowait.lock().close();
        if !left.is_empty() {
            hold(&self.core, left, &Error::storage(RUNTIME_ENDED), Origin::Queue);
        }
    }
}

/// Writes what is queued until the bus closes, and then what is left; then handlers end what is committed.
pub(super) async fn drain(mut writing: Writing) {
    let core = writing.core.clone();
    let mut phase = core.phase.subscribe();
    reserve(&core).await;
    if writing.is_behind {
        in_place(&core, &mut phase).await;
        look_after_spill(&core).await;
    }
    let mut closes = false;
    while let Some(group) = core.nowait.take(NOWAIT_GROUP) {
        if !group.is_empty() {
            write(&core, group).await;
            continue;
        }
        let look = next_look(&core);
        tokio::select! {
            biased;
            () = core.nowait.news() => {}
            () = over(&mut phase), if !closes => {
                core.nowait.close();
                closes = true;
            }
            () = sleep(look.unwrap_or_default()), if look.is_some() => {
                // From here on everything goes to the spill, so what is queued is older.
                core.nowait.lock().spilling = Spilling::All;
                write_rest(&core).await;
                look_after_spill(&core).await;
            }
        }
    }
    give_back(&core).await;
    core.roster().handler_states.iter().for_each(|handler_state| handler_state.drain());
    core.nowait.ended.send_replace(true);
    // The caller of close may have given up waiting, and a dropped bus does not wait at all.
    let handler_states = core.roster();
    let until = deadline(core.settings.drain_limit);
    for handler_state in &handler_states.handler_states {
        let _ = timeout_at(until, handler_state.reached(Phase::Gone)).await;
    }
    handler_states.handler_states.iter().for_each(|handler_state| handler_state.go(Phase::Leaving));
    writing.is_over = true;
}

/// Writes what is queued and does not wait for more.
async fn write_rest(core: &Arc<Core>) {
    while let Some(group) = core.nowait.take(NOWAIT_GROUP).filter(|group| !group.is_empty()) {
        write(core, group).await;
    }
}

async fn write(core: &Arc<Core>, queued: Vec<Queued>) {
    let mut events = Vec::new();
    let mut flushed = Vec::new();
    let mut kept = Vec::new();
    for item in queued {
        match item {
            Queued::Event { place, event, asked } => {
                kept.push(asked);
                events.push((place, *event));
            }
            Queued::Flush(done) => flushed.push(done),
        }
    }
    if !events.is_empty() {
        record(core, events, durability(&kept)).await;
    }
    for done in flushed {
        let _ = done.send(());
    }
}

/// Appends them together; if one of them is refused, or its branch is damaged, each alone. What the store cannot write, and
/// everything after it, is spilled; of a damaged branch only what is for that branch.
async fn record(core: &Arc<Core>, events: Vec<(Place, NewEvent)>, durability: Option<Durability>) {
    let count = events.len() as u64;
    match append(core, &events, durability).await {
        Ok(()) => drop(core.shared.counts.published.fetch_add(count, Relaxed)),
        Err(error) if !error.is_refusal() && !error.is_damage() => {
            set_aside(core, events, error, Origin::Queue).await;
        }
        Err(_) => {
            let mut events = events.into_iter();
            while let Some(one) = events.next() {
                let one = [one];
                match append(core, &one, durability).await {
                    Ok(()) => drop(core.shared.counts.published.fetch_add(1, Relaxed)),
                    Err(error) if error.is_refusal() => {
                        one.iter().for_each(|(_, event)| refused(core, event, &error));
                    }
                    Err(error) if error.is_damage() => {
                        let [(place, event)] = one;
                        // What is left for the same branch goes with it.
                        let (same, others): (Vec<_>, Vec<_>) = events.partition(|(other, _)| *other == place);
                        events = others.into_iter();
                        let held = std::iter::once((place, event)).chain(same).collect();
                        set_aside(core, held, error, Origin::Queue).await;
                    }
                    Err(error) => {
                        let rest = one.into_iter().chain(events.by_ref()).collect();
                        set_aside(core, rest, error, Origin::Queue).await;
                    }
                }
            }
        }
    }
}

async fn append(core: &Core, events: &[(Place, NewEvent)], durability: Option<Durability>) -> Result<()> {
    let mut batch = Batch::new();
    for part in events.chunk_by(|a, b| a.0 == b.0) {
        let [(place, _), ..] = part else { continue };
        let events: Vec<NewEvent> = part.iter().map(|(_, event)| event.clone()).collect();
        batch = batch.add(Address::from(place.clone()), Expect::Any, events)?;
    }
    if let Some(durability) = durability {
        batch = batch.durability(durability);
    }
    let receipt = core.shared.handle.append_async(batch).await?;
    core.history.published(receipt.position().get());
    Ok(())
}
