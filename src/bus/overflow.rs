//! What the queue or the store does not take goes to the spill.
//!
//! Order: what is queued is older than what is in the spill. Once an event had to go there, what is queued for its branch and
//! what comes later follow it, until the queue was written, the spill drained, and nothing put there meanwhile. Who puts
//! something there does so in turn, and without the lock of the queue: a disk holds up nobody who does not need it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::core::Core;
use super::queue::{Putting, Spilling, Unqueued, Unwritten};
use super::spill::Spill;
use crate::error::{Error, Result};
use crate::event::Place;
use crate::limits::{SPILL_HELD_LOOK_MS, SPILL_LOOK_MS};
use crate::store::unblocked;
use crate::sync::fault;

/// Whose events are set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of the queue: they are older than what went to the spill since they were queued.
    Queue,
    /// Of who publishes now.
    Publisher,
}

/// Why an event goes to the spill while the store can be written.
pub(super) fn behind_the_spill() -> Error {
    Error::storage("earlier events are waiting in the spill")
}

/// Whether later events of this branch have to queue behind those in the spill.
pub(super) fn is_spilling(core: &Core, place: &Place) -> bool {
    core.nowait.lock().spilling.takes(place)
}

/// Puts an event that the queue does not take into the spill. Blocks.
pub(super) fn put_or_queue(core: &Core, event: Unwritten) {
    let putting = core.nowait.putting();
    // The queue may take it by now.
    let queued = core.nowait.lock().add(event);
    let (event, why) = match queued {
        Ok(()) => return core.nowait.arrived(),
        Err(unqueued) => unqueued,
    };
    let error = match why {
        Unqueued::Behind => behind_the_spill(),
        Unqueued::Full => Error::storage("events are published faster than they can be written"),
        Unqueued::Closed => Error::Closed { after: None },
    };
    let events = [event];
    if put(core, &putting, &events, false) == 0 {
        return lost(core, &events, &error);
    }
    if why != Unqueued::Behind {
        core.nowait.lock().spilling = Spilling::All;
        core.nowait.arrived();
    }
}

/// Puts the last of these events into the spill, as many as there is room for, and says how many those are. `first`: before
/// what is there. Blocks.
fn put(core: &Core, _: &Putting<'_>, events: &[Unwritten], first: bool) -> usize {
    let Some(spill) = &core.spill else { return 0 };
    let all = events.iter().map(|event| (&event.place, &*event.event));
    // It is told when events are lost.
    let kept = spill.put_last(all, first).unwrap_or(0);
    core.shared.counts.spilled.fetch_add(kept as u64, Relaxed);
    kept
}

fn lost(core: &Core, events: &[Unwritten], error: &Error) {
    if events.is_empty() {
        return;
    }
    core.shared.counts.dropped.fetch_add(events.len() as u64, Relaxed);
    if let Some(spill) = &core.spill {
        spill.has_dropped(events.len(), error);
    }
    for Unwritten { event, .. } in events {
        tracing::error!(id = %event.id(), kind = event.kind(), %error, "an event could not be recorded; it is lost");
    }
}

/// Puts events that the store did not take into the spill. From now on everything goes there until it was drained; or only
/// what is for the same branch, if that is damaged or was held there before. What is queued for these branches goes with
/// them. `false` when none was put there.
pub(super) async fn set_aside(core: &Arc<Core>, events: Vec<Unwritten>, error: Error, from: Origin) -> bool {
    let putting = core.clone();
    // On the runtime of the caller: that of the bus may have ended.
    unblocked(move || Ok(hold(&putting, events, &error, from))).await.unwrap_or(false)
}

fn hold(core: &Core, events: Vec<Unwritten>, error: &Error, from: Origin) -> bool {
    let putting = core.nowait.putting();
    let events = match from {
        Origin::Queue => core.nowait.lock().let_go(events),
        Origin::Publisher => events,
    };
    hold_in(core, &putting, events, error, from)
}

/// What is left when nobody writes any more. Blocks.
pub(super) fn hold_the_rest(core: &Core, error: &Error) {
    let putting = core.nowait.putting();
    let left = core.nowait.lock().close();
    hold_in(core, &putting, left, error, Origin::Queue);
}

fn hold_in(core: &Core, putting: &Putting<'_>, events: Vec<Unwritten>, error: &Error, from: Origin) -> bool {
    if core.spill.is_none() {
        lost(core, &events, error);
        return false;
    }
    let count = events.len();
    if count == 0 {
        return false;
    }
    let mut waiting = core.nowait.lock();
    let before = waiting.spilling.clone();
    let begins = events.iter().any(|event| !before.takes(&event.place));
    if begins && error.is_damage() {
        events.iter().for_each(|event| waiting.spilling.hold(&event.place));
    } else if begins {
        waiting.spilling = Spilling::All;
    }
    let going = match from {
        Origin::Queue => {
            let mut going = events;
            going.extend(waiting.take_covered());
            going
        }
        Origin::Publisher if begins => {
            let mut going = waiting.take_covered();
            going.extend(events);
            going
        }
        // What is queued for its branch is older than what is there.
        Origin::Publisher => events,
    };
    // It is tried again, unless that is in vain.
    let is_over = waiting.is_closed() || error.is_damage() || matches!(error, Error::Closed { .. });
    drop(waiting);
    let is_older = begins || from == Origin::Queue;
    let first = is_older && going.iter().any(|event| before.takes(&event.place));
    let kept = put(core, putting, &going, first);
    let mut left = going;
    left.truncate(left.len() - kept);
    let given_up: Vec<Unwritten> = match from {
        Origin::Queue if is_over => left.drain(..count.min(left.len())).collect(),
        Origin::Publisher if kept == 0 => left.split_off(left.len().saturating_sub(count)),
        _ => Vec::new(),
    };
    let mut waiting = core.nowait.lock();
    if kept == 0 {
        waiting.spilling = before;
    }
    let stalls = from == Origin::Queue && !is_over && !left.is_empty();
    waiting.put_back(left, stalls);
    drop(waiting);
    if begins && kept > 0 {
        core.nowait.arrived();
    }
    lost(core, &given_up, error);
    kept > 0
}

/// How long until the spill is to be looked at again, or what is queued to be written.
pub(super) fn next_look(core: &Core) -> Option<Duration> {
    let waiting = core.nowait.lock();
    match waiting.spilling {
        _ if waiting.stalls() => Some(Duration::from_millis(SPILL_LOOK_MS)),
        Spilling::None => None,
        Spilling::Of(_) => Some(Duration::from_millis(SPILL_HELD_LOOK_MS)),
        Spilling::All => Some(Duration::from_millis(SPILL_LOOK_MS)),
    }
}

/// Drains the spill. When nothing is left there but what damaged branches hold, events of others go to the queue again. What is
/// queued for branches that go to the spill comes first: while there is any, nothing is drained. Who puts something there waits
/// for the file in any case, so the turn to do so is kept. Blocks.
pub(super) fn drain_spill(core: &Core) {
    let Some(spill) = &core.spill else { return };
    let putting = core.nowait.putting();
    let waits = core.nowait.lock().comes_first();
    if waits && !fault!(DrainsBeforeTheQueue) {
        return;
    }
    let putting = (!fault!(IgnoresWhatWasPut)).then_some(putting);
    let drained = drain_to_the_store(core, spill);
    let mut waiting = core.nowait.lock();
    match drained {
        Ok(left) => waiting.spilling = left,
        // A file that cannot be read, or lines that cannot be moved aside: waiting behind it would lose what the store can
        // record.
        Err(error) if spill.is_out_of_order() => {
            waiting.spilling = Spilling::None;
            drop(waiting);
            tracing::error!(%error, "the spill cannot be drained; newly published events go to the store before it");
        }
        Err(error) => {
            drop(waiting);
            tracing::debug!(%error, "the spill cannot be drained yet");
        }
    }
    drop(putting);
}

/// Answers with what still has to go to the spill.
fn drain_to_the_store(core: &Core, spill: &Spill) -> Result<Spilling> {
    let damaged = spill.drain_but(&core.shared.handle)?.1;
    Ok(if damaged.is_empty() { Spilling::None } else { Spilling::Of(damaged) })
}
