//! The task of a bus that writes what is queued, and drains the spill.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;

use super::core::{Core, RUNTIME_ENDED};
use super::nowait::refused;
use super::overflow::{Origin, drain_spill, hold_the_rest, next_look, set_aside};
use super::persist::durability;
use super::phase::{Phase, deadline, over};
use super::queue::{Spilling, Unwritten};
use crate::error::{Error, Result};
use crate::event::{Address, Expect, NewEvent};
use crate::limits::{NOWAIT_GROUP, SPILL_WAIT_MS};
use crate::store::{Batch, Durability};
use crate::sync::fault;
use crate::sync::task::JoinHandle;
use crate::sync::time::{Instant, sleep, sleep_until, timeout_at};

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
        hold_the_rest(&self.core, &Error::storage(RUNTIME_ENDED));
        self.core.nowait.answer();
    }
}

/// When to look at the spill, and who drains it.
#[derive(Default)]
struct Looks {
    /// When it was looked at last, or when there was a reason to.
    since: Option<Instant>,
    draining: Option<JoinHandle<()>>,
}

impl Looks {
    /// When to look again, unless that is being done.
    fn due(&mut self, core: &Core) -> Option<Instant> {
        let Some(wait) = next_look(core) else {
            self.since = None;
            return None;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        self.draining.is_none().then(|| since + wait)
    }

    /// Looks at it if that is due: writes what is queued, which is older, then drains it while the queue goes on.
    async fn look(&mut self, core: &Arc<Core>) {
        if self.due(core).is_none_or(|due| Instant::now() < due) {
            return;
        }
        if fault!(DrainsBeforeTheQueue) {
            core.nowait.lock().go_on();
        } else {
            write_rest(core).await;
        }
        self.since = Some(Instant::now());
        let waiting = core.nowait.lock();
        if waiting.spilling == Spilling::None || waiting.stalls() {
            return;
        }
        drop(waiting);
        self.drain(core);
    }

    fn drain(&mut self, core: &Arc<Core>) {
        let draining = core.clone();
        self.draining = Some(core.shared.runtime.spawn_blocking(move || drain_spill(&draining)));
    }

    /// Resolves when nobody drains it.
    async fn drained(&mut self) {
        if let Some(draining) = &mut self.draining {
            let _ = draining.await;
        }
        self.draining = None;
    }
}

/// Writes what is queued until the bus closes, and then what is left; then handlers end what is committed.
pub(super) async fn drain(mut writing: Writing) {
    let core = writing.core.clone();
    let mut phase = core.phase.subscribe();
    let mut looks = Looks::default();
    reserve(&core).await;
    if writing.is_behind {
        in_place(&core, &mut phase).await;
        looks.drain(&core);
        looks.drained().await;
    }
    let mut closes = false;
    while let Some(group) = core.nowait.take(NOWAIT_GROUP) {
        let any = write(&core, group).await;
        looks.look(&core).await;
        if any {
            continue;
        }
        let due = looks.due(&core);
        let drains = looks.draining.is_some();
        tokio::select! {
            biased;
            () = core.nowait.news() => {}
            () = over(&mut phase), if !closes => {
                core.nowait.close();
                closes = true;
            }
            () = looks.drained(), if drains => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
    looks.drained().await;
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

/// Writes what is queued now.
async fn write_rest(core: &Arc<Core>) {
    core.nowait.lock().go_on();
    for _ in 0..=core.nowait.waiting() / NOWAIT_GROUP {
        let Some(group) = core.nowait.take(NOWAIT_GROUP) else { return };
        write(core, group).await;
    }
}

/// Writes what was taken, and answers those who wait for it. `false` when there is neither.
async fn write(core: &Arc<Core>, events: Vec<Unwritten>) -> bool {
    let any = !events.is_empty();
    if any {
        let asked: Vec<_> = events.iter().map(|event| event.asked).collect();
        record(core, events, durability(&asked)).await;
    }
    core.nowait.answer() || any
}

/// Appends them together; if one of them is refused, or its branch is damaged, each alone. What the store cannot write, and
/// everything after it, is spilled; of a damaged branch only what is for that branch.
async fn record(core: &Arc<Core>, events: Vec<Unwritten>, durability: Option<Durability>) {
    let count = events.len() as u64;
    match append(core, &events, durability).await {
        Ok(()) => {
            core.shared.counts.published.fetch_add(count, Relaxed);
            core.nowait.lock().dealt_with(&events);
        }
        Err(error) if !error.is_refusal() && !error.is_damage() => {
            set_aside(core, events, error, Origin::Queue).await;
        }
        Err(_) => {
            let mut events = events.into_iter();
            while let Some(one) = events.next() {
                let one = [one];
                match append(core, &one, durability).await {
                    Ok(()) => {
                        core.shared.counts.published.fetch_add(1, Relaxed);
                        core.nowait.lock().dealt_with(&one);
                    }
                    Err(error) if error.is_refusal() => {
                        one.iter().for_each(|unwritten| refused(core, &unwritten.event, &error));
                        core.nowait.lock().dealt_with(&one);
                    }
                    Err(error) if error.is_damage() => {
                        let [one] = one;
                        // What is left for the same branch goes with it.
                        let (same, others): (Vec<_>, Vec<_>) =
                            events.partition(|other| other.place == one.place);
                        events = others.into_iter();
                        let held = std::iter::once(one).chain(same).collect();
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

async fn append(core: &Core, events: &[Unwritten], durability: Option<Durability>) -> Result<()> {
    let mut batch = Batch::new();
    for part in events.chunk_by(|a, b| a.place == b.place) {
        let [first, ..] = part else { continue };
        let events: Vec<NewEvent> = part.iter().map(|unwritten| (*unwritten.event).clone()).collect();
        batch = batch.add(Address::from(first.place.clone()), Expect::Any, events)?;
    }
    if let Some(durability) = durability {
        batch = batch.durability(durability);
    }
    let receipt = core.shared.handle.append_async(batch).await?;
    core.history.published(receipt.position().get());
    Ok(())
}
