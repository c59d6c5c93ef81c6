//! Whoever runs a handler's calls: carries out what its machine says, until there is nothing to do.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::answer::{Answer, Failure};
use super::core::Core;
use super::handler::Ended;
use super::handler_state::{HandlerState, Work};
use super::message::Message;
use super::phase::Phase;
use crate::delivery::{Delay, Failed, Look, NEVER, Next, Resolved, Taken, chance, look_for, recorded};
use crate::error::{Error, Result};
use crate::event::{PayloadView, Timestamp};
use crate::limits::{FOLLOW_AGAIN_MS, MAX_STUCK};
use crate::store::{SidecarWrites, unblocked};
use crate::sync::task::JoinHandle;
use crate::sync::time::{Instant, sleep_until, timeout_at};
use crate::sync::{self, fault, lock, thread};

/// A call that timed out and keeps running.
type Stuck = JoinHandle<Result<serde_json::Value, String>>;

pub(super) async fn run(core: Arc<Core>, handler_state: Arc<HandlerState>) {
    loop {
        let now = handler_state.clock.now();
        let next = handler_state.work().machine.next(now);
        match next {
            Next::Deliver(taken, Some(message)) => {
                fault!(TwoRunners, { beside(&core, &handler_state, &taken, &message) });
                attempted(&core, &handler_state, taken, message).await;
            }
            Next::Deliver(taken, None) => {
                if let Some(message) = read(&handler_state, &taken).await {
                    attempted(&core, &handler_state, taken, message).await;
                } else {
                    handler_state.resolved(taken.delivery);
                }
            }
            Next::Look(look) => look_further(&handler_state, look).await,
            Next::Nothing => break,
        }
    }
    handler_state.room.notify_one();
}

/// A second call of the same event.
#[cfg(test)]
fn beside(core: &Arc<Core>, handler_state: &Arc<HandlerState>, taken: &Taken, message: &Message) {
    let (core, state, taken, message) = (core.clone(), handler_state.clone(), taken.clone(), message.clone());
    let called = async move { attempted(&core, &state, taken, message).await };
    drop(handler_state.shared.runtime.spawn(called));
}

async fn attempted(core: &Arc<Core>, handler_state: &Arc<HandlerState>, taken: Taken, message: Message) {
    let Taken { delivery, deliveries, .. } = taken;
    let early = if fault!(WaitsAsWorker) { Some(begin(handler_state, &message).await) } else { None };
    if deliveries == 1 && !taken.again && !fault!(NoGate) {
        give_way(core, handler_state, &message).await;
    }
    let worker = match early {
        Some(worker) => worker,
        None => begin(handler_state, &message).await,
    };
    if handler_state.phase() >= Phase::Leaving {
        tried(handler_state, &message, false);
        handler_state.resolve(&message, || Answer::Gone);
        return handler_state.resolved(delivery);
    }
    handler_state.metrics.calls.fetch_add(1, Relaxed);
    let clock = sync::Instant::now();
    let ended = handler_state
        .asked
        .handler
        .call(
            &handler_state.shared.runtime,
            message.clone().delivered(deliveries),
            handler_state.asked.delivery.deadline,
        )
        .await;
    if !matches!(ended, Ended::Stopped { begun: false }) {
        handler_state.metrics.times.add(clock.elapsed());
    }
    if matches!(ended, Ended::Stuck(..)) {
        // Before the worker is released, so that no more calls start than may be stuck.
        handler_state.work().stuck += 1;
    }
    drop(worker);
    let (failure, stuck) = match ended {
        Ended::Done(value) => {
            handler_state.metrics.handled.fetch_add(1, Relaxed);
            tried(handler_state, &message, false);
            taken_out(handler_state, &message).await;
            handler_state.resolve(&message, || Answer::Done(value));
            return handler_state.resolved(delivery);
        }
        Ended::Stopped { begun } => return stopped(handler_state, &message, &taken, begun),
        Ended::Failed(failure) => (failure, None),
        Ended::Stuck(failure, handle) => (failure, Some(handle)),
    };
    failed(handler_state, taken, message, failure, stuck).await;
}

/// It is called again after the backoff, unless that was its last call for the event.
async fn failed(
    handler_state: &Arc<HandlerState>,
    taken: Taken,
    message: Message,
    failure: Failure,
    stuck: Option<Stuck>,
) {
    let Taken { delivery, deliveries, .. } = taken;
    handler_state.metrics.failed(&failure);
    let (handler, id) = (&*handler_state.asked.name, message.id());
    tracing::debug!(handler, %id, deliveries, error = %failure, "a handler failed");
    // It is not called again while an earlier call runs, nor for an ephemeral event, nor when the bus closes.
    let is_last = stuck.is_some() || message.is_ephemeral() || handler_state.phase() >= Phase::Draining;
    fault!(RetriesLater, {
        if !is_last && deliveries < handler_state.asked.delivery.max_deliveries {
            tried(handler_state, &message, true);
            if handler_state.work().machine.put(&taken.place, message.clone()).is_some() {
                return handler_state.resolved(delivery);
            }
        }
    });
    let outcome = {
        let mut work = handler_state.work();
        work.tried(&message, true);
        let (now, delay) = (handler_state.clock.now(), Delay::Backoff(chance()));
        match is_last {
            true => work.machine.give_up(delivery).map(Failed::Last),
            false => work.machine.fail(delivery, now, delay, Some(message.clone())),
        }
    };
    handler_state.tried.notify_waiters();
    match outcome {
        Ok(Failed::Again { due }) => pause(handler_state, due).await,
        Ok(Failed::Last(dead)) => {
            bury(handler_state, &message, &dead, &failure).await;
            handler_state.resolve(&message, || Answer::Failed { failure, deliveries });
            if let Some(stuck) = stuck {
                really_ended(handler_state, stuck).await;
            }
            handler_state.resolved(delivery);
        }
        // It was dropped meanwhile.
        Err(_) => handler_state.resolve(&message, || Answer::Gone),
    }
}

/// The runtime shuts down: the handler leaves as if its bus were closed, without another attempt or a dead letter.
fn stopped(handler_state: &HandlerState, message: &Message, taken: &Taken, begun: bool) {
    if !begun {
        handler_state.metrics.calls.fetch_sub(1, Relaxed);
    }
    let deliveries = taken.deliveries - u32::from(!begun);
    tried(handler_state, message, false);
    handler_state.resolve(message, || Answer::Failed { failure: Failure::Stopped, deliveries });
    handler_state.resolved(taken.delivery);
}

/// Waits for a worker, and while too many timed-out calls are running, since they occupy shared threads.
async fn begin(handler_state: &HandlerState, message: &Message) -> impl Drop + use<> {
    loop {
        let worker = handler_state.worker().await;
        if handler_state.work().stuck < MAX_STUCK || handler_state.phase() >= Phase::Leaving {
            return worker;
        }
        drop(worker);
        tried(handler_state, message, true);
        handler_state.unstuck().await;
    }
}

/// Waits for the first attempts of handlers of higher priority, each for no longer than its own deadline.
async fn give_way(core: &Core, handler_state: &HandlerState, message: &Message) {
    let Some(position) = message.position() else { return };
    let roster = core.roster();
    if !roster.ranked {
        return;
    }
    let begun = Instant::now();
    let itself = fault!(WaitsForItself);
    let above = |s: &&Arc<HandlerState>| s.asked.priority > handler_state.asked.priority - i32::from(itself);
    let takers: Vec<&Arc<HandlerState>> = {
        let payload = PayloadView::of(message.record());
        let takes = |s: &&Arc<HandlerState>| s.asked.route.takes_with(message, &payload);
        roster.handler_states.iter().filter(above).filter(takes).collect()
    };
    for other in takers {
        // After its deadline it counts as gone.
        tokio::select! {
            _ = timeout_at(begun + other.asked.delivery.deadline, other.passed(position)) => {}
            () = handler_state.reached(Phase::Leaving) => return,
        }
    }
}

fn tried(handler_state: &HandlerState, message: &Message, again: bool) {
    handler_state.work().tried(message, again);
    handler_state.tried.notify_waiters();
}

impl Work {
    /// The first attempt has ended: nothing has to wait for this event any more. While it is retried, nothing has to wait
    /// for later events of its branch either.
    fn tried(&mut self, message: &Message, again: bool) {
        if let Some(position) = message.position() {
            self.progress.tried(position);
        }
        if again {
            let later = self.machine.at_hand(message.place()).filter_map(Message::position);
            later.for_each(|position| self.progress.tried(position));
        }
    }
}

/// Waits until the event is due. A closing bus does not back off: one last attempt.
async fn pause(handler_state: &HandlerState, due: i64) {
    tokio::select! {
        () = sleep_until(handler_state.clock.instant(due)) => {}
        () = handler_state.reached(Phase::Draining) => {}
    }
    let closes = handler_state.phase() >= Phase::Draining;
    let now = if closes { NEVER } else { handler_state.clock.now() };
    // Nothing expires but pauses: a call has its own clock.
    handler_state.work().machine.expire(now);
}

/// A replayed dead letter was handled.
async fn taken_out(handler_state: &HandlerState, message: &Message) {
    let Some(event) = message.event() else { return };
    if !message.is_again() && !handler_state.dead_letters.has(event.position()) {
        return;
    }
    let mut records = SidecarWrites::new();
    let _writing = handler_state.dead_letters.writing();
    handler_state.dead_letters.take_again(&mut records, event.position());
    if let Err(error) = handler_state.shared.handle.write_records_async(records).await {
        handler_state.dead_letters.keep(event.position());
        let handler = &*handler_state.asked.name;
        tracing::warn!(handler, %error, "a dead letter that was handled could not be removed");
    }
}

/// The event becomes a dead letter; an ephemeral one does not.
async fn bury(handler_state: &HandlerState, message: &Message, dead: &Resolved, failure: &Failure) {
    if message.is_ephemeral() {
        return;
    }
    let (handler, id, deliveries) = (&*handler_state.asked.name, message.id(), dead.deliveries);
    match write_dead_letter(handler_state, message, dead, failure).await {
        Ok(false) => {}
        Ok(true) => {
            handler_state.metrics.dead_letters.fetch_add(1, Relaxed);
            tracing::warn!(handler, %id, deliveries, error = %failure, "an event became a dead letter");
        }
        Err(e) => {
            handler_state.metrics.dead_letters.fetch_add(1, Relaxed);
            handler_state.shared.counts.dead_letters_lost.fetch_add(1, Relaxed);
            tracing::error!(handler, %id, error = %failure, "a dead letter could not be written: {e}");
        }
    }
}

/// `false` for one that was sent again and discarded meanwhile.
async fn write_dead_letter(
    handler_state: &HandlerState,
    message: &Message,
    dead: &Resolved,
    failure: &Failure,
) -> Result<bool> {
    let Some(event) = message.event() else { return Ok(false) };
    let _writing = handler_state.dead_letters.writing();
    loop {
        let (queue, event, dead) = (handler_state.dead_letters.clone(), event.clone(), dead.clone());
        let (error, is_again) = (failure.to_string(), dead.again);
        let last = Timestamp::from_micros(handler_state.clock.now());
        let bury = move || {
            let mut records = SidecarWrites::new();
            let there = queue.bury(&mut records, &event, &dead, error, last)?;
            Ok((there, records))
        };
        // Only one that was sent again is looked for.
        let (there, records) = if is_again { unblocked(bury).await? } else { bury()? };
        if !there {
            return Ok(false);
        }
        match handler_state.shared.handle.write_records_async(records).await {
            // It was discarded or replayed meanwhile.
            Err(Error::RecordChanged { .. }) if is_again => {}
            written => return written.map(|()| true),
        }
    }
}

/// Waits for a call that timed out and could not be stopped.
async fn really_ended(handler_state: &HandlerState, stuck: Stuck) {
    tokio::select! {
        _ = stuck => {}
        () = handler_state.reached(Phase::Leaving) => {}
    }
    handler_state.work().stuck -= 1;
    handler_state.unstuck.notify_waiters();
}

/// An event that is not at hand: a replayed dead letter. `None` if it stays a dead letter, or is none any more.
async fn read(handler_state: &Arc<HandlerState>, taken: &Taken) -> Option<Message> {
    let handler = &*handler_state.asked.name;
    let (reading, taken) = (handler_state.clone(), taken.clone());
    let read = handler_state.shared.runtime.spawn_blocking(move || {
        if taken.again && !reading.dead_letters.is_again(taken.position.into())? {
            return Ok(None);
        }
        let reader = lock(&reading.reader).clone().ok_or(Error::Closed { after: None })?;
        match recorded(&reader, &taken.place, (taken.sequence, taken.position))? {
            Some(event) => reader.shaped(event).map(Some),
            None => Ok(None),
        }
    });
    let message = match read.await {
        Ok(Ok(Some(event))) => Message::recorded(event).sent_again(),
        Ok(Ok(None)) => return None,
        Ok(Err(error)) => {
            tracing::warn!(handler, %error, "a dead letter's event could not be read; it stays a dead letter");
            return None;
        }
        // The runtime is shutting down.
        Err(_) => return None,
    };
    if !handler_state.asked.route.takes(&message) {
        let (id, kind) = (message.id(), message.kind());
        tracing::warn!(handler, %id, kind, "a replayed dead letter is not for this handler; it stays a dead letter");
        return None;
    }
    Some(message)
}

/// Reads the next events of a branch of which nothing is at hand.
async fn look_further(handler_state: &Arc<HandlerState>, look: Look) {
    let (reading, asked) = (handler_state.clone(), look.clone());
    let found = handler_state.shared.runtime.spawn_blocking(move || {
        loop {
            let reader = lock(&reading.reader).clone().ok_or(Error::Closed { after: None })?;
            let found = look_for(&reader, asked.clone(), |event| {
                // What cannot be upcast was not taken at first, and is not taken now.
                let message = Message::recorded(reader.shaped(event).ok()?);
                reading.asked.route.takes(&message).then_some(message)
            });
            match found {
                Err(error) if error.is_passing() && reading.phase() < Phase::Leaving => {
                    thread::park_timeout(Duration::from_millis(FOLLOW_AGAIN_MS));
                }
                found => return found,
            }
        }
    });
    let (look, found) = match found.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let handler = &*handler_state.asked.name;
            let Look { place, after, until, .. } = &look;
            tracing::error!(handler, %error, %place, after, until, "a handler's events could not be read; they are skipped");
            *lock(&handler_state.ended) = Some(error.to_string());
            handler_state.go(Phase::Leaving);
            (look, Vec::new())
        }
        // The runtime is shutting down.
        Err(_) => (look, Vec::new()),
    };
    handler_state.work().machine.found(&look, found);
}
