//! Publishing without waiting: to a bounded queue, or to the spill when that is full or the store cannot be written.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::oneshot;

use super::bus::Bus;
use super::core::Core;
use super::persist::Persistence;
use super::publish::{branch_of, ephemeral};
use super::queue::Unwritten;
use super::{current, overflow};
use crate::error::{Error, Result};
use crate::event::{Address, NewEvent, Place};

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

    /// Waits until everything published without waiting before this call has been written, spilled or refused. What neither
    /// the store nor the spill can take at the moment stays in memory and is tried again every second; that is not waited
    /// for. In a forked child there is nothing to wait for.
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
    let event = Unwritten::new(place, event, persistence);
    let queued = core.nowait.lock().add(event);
    match queued {
        Ok(()) => core.nowait.arrived(),
        Err((event, _)) => overflow::put_or_queue(core, event),
    }
    Ok(())
}

pub(super) fn refused(core: &Core, event: &NewEvent, error: &Error) {
    core.shared.counts.dropped.fetch_add(1, Relaxed);
    tracing::warn!(id = %event.id(), kind = event.kind(), %error, "an event was refused; it is dropped");
}
