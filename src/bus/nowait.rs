//! Publishing without waiting: a bounded queue, the task that writes it, and the spill for when the store cannot be written.
//!
//! Order: once an event had to go to the spill, later ones follow it there, until the task has written the queue,
//! drained the spill, and found it empty with no put in progress.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout_at};

use super::bus::Bus;
use super::core::Core;
use super::current;
use super::persist::{Persistence, durability};
use super::phase::{Phase, deadline, over};
use super::publish::{branch_of, ephemeral};
use super::queue::Queued;
use super::spill::Spill;
use crate::error::{Error, Result};
use crate::event::{Address, Expect, NewEvent, Place};
use crate::limits::{NOWAIT_GROUP, SPILL_LOOK_MS};
use crate::store::{Batch, Durability, lock};

impl Bus {
    /// Records an event soon, without waiting for the store. It never fails.
    ///
    /// Events are queued in memory and written in order; until then they are lost if the process crashes. If the store
    /// cannot be written, or the queue is full, events go to the [`Spill`](super::Spill) beside the store, which is
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

    /// Waits until everything published without waiting before this call has been written, spilled or refused. In a
    /// forked child there is nothing to wait for.
    pub async fn flush(&self) {
        if !self.core().shared.handle.process().is_this() {
            return;
        }
        let (done, is_done) = oneshot::channel();
        if self.core().nowait.queue.send(Queued::Flush(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

/// An event that was refused at once.
pub(super) fn publish_nowait(core: &Arc<Core>, place: Place, event: NewEvent) -> Result<()> {
    core.shared.handle.process().check()?;
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
    let mut spilling = lock(&core.nowait.spilling);
    let (place, event, error) = if *spilling {
        (place, event, Error::storage("earlier events wait in the spill"))
    } else {
        let queued = Queued::Event { place, event: Box::new(event), asked: persistence };
        let (back, error) = match core.nowait.queue.try_send(queued) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(back)) => {
                (back, Error::storage("events are published faster than they can be written"))
            }
            Err(mpsc::error::TrySendError::Closed(back)) => (back, Error::Closed { after: None }),
        };
        let Queued::Event { place, event, .. } = back else { return Ok(()) };
        (place, *event, error)
    };
    *spilling = spill(core, &[(place, event)], &error) || *spilling;
    core.nowait.begun.notify_one();
    Ok(())
}

pub(super) fn refused(core: &Core, event: &NewEvent, error: &Error) {
    core.shared.counts.dropped.fetch_add(1, Relaxed);
    tracing::warn!(id = %event.id(), kind = event.kind(), %error, "an event was refused; it is dropped");
}

/// Spills events that the store did not accept. Returns whether any was spilled. Blocks.
fn spill(core: &Core, events: &[(Place, NewEvent)], error: &Error) -> bool {
    let put =
        core.spill.as_ref().map(|spill| spill.put_all(events.iter().map(|(place, event)| (place, event))));
    let kept = match &put {
        Some(Ok(kept)) => *kept,
        Some(Err(_)) | None => 0,
    };
    core.shared.counts.spilled.fetch_add(kept as u64, Relaxed);
    for (_, event) in events.get(kept..).unwrap_or_default() {
        core.shared.counts.dropped.fetch_add(1, Relaxed);
        tracing::error!(id = %event.id(), kind = event.kind(), %error, "an event could not be recorded; it is lost");
    }
    kept > 0
}

/// [`spill`] for tasks; from now on everything goes there until it was drained.
pub(super) async fn set_aside(core: &Arc<Core>, events: Vec<(Place, NewEvent)>, error: Error) -> bool {
    let putting = core.clone();
    let put = core.shared.runtime.spawn_blocking(move || {
        let mut spilling = lock(&putting.nowait.spilling);
        let kept = spill(&putting, &events, &error);
        *spilling |= kept;
        kept
    });
    let kept = put.await.unwrap_or(false);
    core.nowait.begun.notify_one();
    kept
}

/// Whether later events have to queue behind those in the spill.
pub(super) fn is_spilling(core: &Core) -> bool {
    *lock(&core.nowait.spilling)
}

/// Drains the spill. When it is empty, and no put is in progress, events go to the queue again. Blocks.
fn drain_spill(core: &Core) -> Result<()> {
    let Some(spill) = &core.spill else { return Ok(()) };
    loop {
        spill.drain_to(&core.shared.handle)?;
        let mut spilling = lock(&core.nowait.spilling);
        if spill.is_empty() {
            *spilling = false;
            return Ok(());
        }
    }
}

async fn look_after_spill(core: &Arc<Core>) {
    let draining = core.clone();
    let drained = core.shared.runtime.spawn_blocking(move || drain_spill(&draining)).await;
    let Ok(Err(error)) = drained else { return };
    let mut spilling = lock(&core.nowait.spilling);
    // A file that cannot be read, or lines that cannot be moved aside: waiting behind it would lose what the store can record.
    *spilling = !core.spill.as_ref().is_some_and(Spill::is_out_of_order);
    match *spilling {
        true => tracing::debug!(%error, "the spill cannot be drained yet"),
        false => {
            tracing::error!(%error, "the spill cannot be drained; newly published events go to the store before it")
        }
    }
}

/// Writes what is queued until the bus closes, and then what is left; then handlers end what is committed.
pub(super) async fn drain(core: Arc<Core>, mut queue: mpsc::Receiver<Queued>) {
    let mut phase = core.phase.subscribe();
    let mut group = Vec::with_capacity(NOWAIT_GROUP);
    if is_spilling(&core) {
        look_after_spill(&core).await;
    }
    loop {
        let spilling = is_spilling(&core);
        let taken = tokio::select! {
            biased;
            count = queue.recv_many(&mut group, NOWAIT_GROUP) => count,
            () = over(&mut phase), if !queue.is_closed() => {
                queue.close();
                continue;
            }
            // The queue, which is older than the spill, is empty.
            () = sleep(Duration::from_millis(SPILL_LOOK_MS)), if spilling => {
                look_after_spill(&core).await;
                continue;
            }
            () = core.nowait.begun.notified(), if !spilling => continue,
        };
        if taken == 0 {
            break;
        }
        write(&core, group.drain(..)).await;
    }
    core.roster().handler_states.iter().for_each(|handler_state| handler_state.drain());
    core.nowait.ended.send_replace(true);
    // The caller of close may have given up waiting, and a dropped bus does not wait at all.
    let handler_states = core.roster();
    let until = deadline(core.settings.drain_limit);
    for handler_state in &handler_states.handler_states {
        let _ = timeout_at(until, handler_state.reached(Phase::Gone)).await;
    }
    handler_states.handler_states.iter().for_each(|handler_state| handler_state.go(Phase::Leaving));
}

async fn write(core: &Arc<Core>, queued: impl Iterator<Item = Queued>) {
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

/// Appends them together; if one of them is refused, each alone. What the store cannot write, and everything after
/// it, is spilled.
async fn record(core: &Arc<Core>, events: Vec<(Place, NewEvent)>, durability: Option<Durability>) {
    let count = events.len() as u64;
    match append(core, &events, durability).await {
        Ok(()) => drop(core.shared.counts.published.fetch_add(count, Relaxed)),
        Err(error) if !error.is_refusal() => drop(set_aside(core, events, error).await),
        Err(_) => {
            let mut events = events.into_iter();
            while let Some(one) = events.next() {
                let one = [one];
                match append(core, &one, durability).await {
                    Ok(()) => drop(core.shared.counts.published.fetch_add(1, Relaxed)),
                    Err(error) if error.is_refusal() => {
                        one.iter().for_each(|(_, event)| refused(core, event, &error));
                    }
                    Err(error) => {
                        let rest = one.into_iter().chain(events.by_ref()).collect();
                        set_aside(core, rest, error).await;
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
    core.shared.handle.append_async(batch).await.map(|_| ())
}
