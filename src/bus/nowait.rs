//! Publishing without waiting: a bounded queue, and the task that writes it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::{mpsc, oneshot, watch};

use super::bus::Bus;
use super::core::Core;
use super::current;
use super::persist::Persistence;
use super::publish::{branch_of, ephemeral};
use super::seat::over;
use crate::error::{Error, Result};
use crate::event::{Address, Expect, NewEvent, Place};
use crate::limits::NOWAIT_GROUP;
use crate::store::{Batch, Durability};

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Queued {
    Event {
        place: Place,
        event: Box<NewEvent>,
        relaxed: bool,
    },
    /// Everything before it was dealt with.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Nowait {
    queue: mpsc::Sender<Queued>,
    ended: watch::Sender<bool>,
}

impl Nowait {
    pub(super) fn new(room: usize) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, rest) = mpsc::channel(room);
        (Self { queue, ended: watch::Sender::new(false) }, rest)
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Resolves when everything was written and nothing more is taken.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

impl Bus {
    /// Records an event soon, without waiting for anything: the caller is never blocked and never fails.
    ///
    /// It is queued in memory and written in the order in which it was queued; until then a crash of the process takes
    /// it. What cannot be written is counted, traced, and kept aside where that is possible; see [`Bus::stats`].
    /// [`flush`](Self::flush) waits for what was published so far.
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

    /// Waits until everything that was published without waiting before this call was written or given up.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.core().nowait.queue.send(Queued::Flush(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

/// `false` when it was refused at once.
pub(super) fn publish_nowait(core: &Arc<Core>, place: Place, event: NewEvent) -> bool {
    core.counts.nowait.fetch_add(1, Relaxed);
    let event = current::stamp(event);
    let persistence = core.settings.rules.of(event.kind());
    // What is wrong with it is known now; later it would spoil its neighbours.
    let checked = match persistence {
        Some(Persistence::Ephemeral) => ephemeral(core, &place, &event).map(Some),
        _ => event.check().map(|()| None).map_err(Error::from),
    };
    let heard = match checked {
        Ok(heard) => heard,
        Err(error) => {
            refused(core, &event, &error);
            return false;
        }
    };
    if let Err(error) = core.open() {
        give_up(core, vec![(place, event)], &error);
        return true;
    }
    if let Some(heard) = heard {
        core.tell(&heard);
        return true;
    }
    let relaxed = persistence == Some(Persistence::Relaxed);
    let queued = Queued::Event { place, event: Box::new(event), relaxed };
    if let Err(e) = core.nowait.queue.try_send(queued)
        && let Queued::Event { place, event, .. } = e.into_inner()
    {
        let error = Error::storage("more is published without waiting than can be written");
        give_up(core, vec![(place, *event)], &error);
    }
    true
}

fn refused(core: &Core, event: &NewEvent, error: &Error) {
    core.counts.dropped.fetch_add(1, Relaxed);
    tracing::warn!(id = %event.id(), kind = event.kind(), %error, "an event was refused; it is dropped");
}

/// Events that the store did not take.
fn give_up(core: &Core, events: Vec<(Place, NewEvent)>, error: &Error) {
    for (_, event) in &events {
        core.counts.dropped.fetch_add(1, Relaxed);
        tracing::error!(id = %event.id(), kind = event.kind(), %error, "an event could not be recorded; it is lost");
    }
}

/// Writes what is queued until the bus closes, and then what is left; then handlers end what is committed.
pub(super) async fn drain(core: Arc<Core>, mut queue: mpsc::Receiver<Queued>) {
    let mut phase = core.phase.subscribe();
    let mut group = Vec::with_capacity(NOWAIT_GROUP);
    loop {
        let taken = tokio::select! {
            biased;
            count = queue.recv_many(&mut group, NOWAIT_GROUP) => count,
            () = over(&mut phase), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        };
        if taken == 0 {
            break;
        }
        write(&core, group.drain(..)).await;
    }
    core.roster().seats.iter().for_each(|seat| seat.drain());
    core.nowait.ended.send_replace(true);
}

async fn write(core: &Core, queued: impl Iterator<Item = Queued>) {
    let mut events = Vec::new();
    let mut flushed = Vec::new();
    let mut all_relaxed = true;
    for item in queued {
        match item {
            Queued::Event { place, event, relaxed } => {
                all_relaxed &= relaxed;
                events.push((place, *event));
            }
            Queued::Flush(done) => flushed.push(done),
        }
    }
    if !events.is_empty() {
        record(core, events, all_relaxed).await;
    }
    for done in flushed {
        let _ = done.send(());
    }
}

/// Appends them as one; when one of them spoils it, each alone.
async fn record(core: &Core, events: Vec<(Place, NewEvent)>, relaxed: bool) {
    let count = events.len() as u64;
    match append(core, &events, relaxed).await {
        Ok(()) => drop(core.counts.published.fetch_add(count, Relaxed)),
        Err(error) if is_of_the_store(&error) => give_up(core, events, &error),
        Err(_) => {
            for (place, event) in events {
                let one = [(place, event)];
                match append(core, &one, relaxed).await {
                    Ok(()) => drop(core.counts.published.fetch_add(1, Relaxed)),
                    Err(error) if is_of_the_store(&error) => give_up(core, one.into(), &error),
                    Err(error) => one.iter().for_each(|(_, event)| refused(core, event, &error)),
                }
            }
        }
    }
}

async fn append(core: &Core, events: &[(Place, NewEvent)], relaxed: bool) -> Result<()> {
    let mut batch = Batch::new();
    for part in events.chunk_by(|a, b| a.0 == b.0) {
        let [(place, _), ..] = part else { continue };
        let events: Vec<NewEvent> = part.iter().map(|(_, event)| event.clone()).collect();
        batch = batch.add(Address::from(place.clone()), Expect::Any, events)?;
    }
    if relaxed {
        batch = batch.durability(Durability::Relaxed);
    }
    core.desk.append_async(batch).await.map(|_| ())
}

/// Whether it is the store that cannot write, and not the event that cannot be written.
fn is_of_the_store(error: &Error) -> bool {
    matches!(
        error,
        Error::Unknown { .. } | Error::Storage { .. } | Error::Closed { .. } | Error::ReadOnly { .. }
    )
}
