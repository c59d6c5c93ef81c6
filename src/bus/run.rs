//! The runner of a queue: carries out what the queue's state machine says, until it is idle.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::{Answer, Failure};
use super::backoff::chance;
use super::branch_queue::{Input, QueueStep};
use super::core::Core;
use super::handler::Ended;
use super::handler_state::HandlerState;
use super::message::Message;
use super::phase::Phase;
use crate::consumer::DeadLetter;
use crate::error::{Error, Result};
use crate::event::{Place, Timestamp};
use crate::limits::{LANE_PAGE, MAX_STUCK};
use crate::store::{Range, SidecarWrites, lock};
use crate::sync::task::JoinHandle;
use crate::sync::time::{Instant, timeout, timeout_at};
use crate::sync::{self, fault};

/// The runner's state for the event at the head of its queue.
#[derive(Default)]
struct Head {
    first: Option<Timestamp>,
    failure: Option<Failure>,
    /// A timed-out call that keeps running: the next event waits until it has really ended.
    stuck: Option<JoinHandle<Result<serde_json::Value, String>>>,
}

pub(super) async fn run(core: Arc<Core>, handler_state: Arc<HandlerState>, place: Arc<Place>) {
    let mut head = Head::default();
    let mut input = Input::Begun;
    loop {
        let freed = matches!(input, Input::Succeeded | Input::Buried);
        let step = handler_state.work().branch_queues.next(&place, input);
        if freed {
            head = Head::default();
            handler_state.room.notify_one();
        }
        input = match step {
            QueueStep::Rest => break,
            QueueStep::Try { item, attempt } => {
                attempted(&core, &handler_state, &place, item, attempt, &mut head).await
            }
            QueueStep::Pause { attempts } => pause(&handler_state, attempts).await,
            QueueStep::Bury { item, attempts } => bury(&handler_state, &item, attempts, &mut head).await,
            QueueStep::Refill { after, to } => refill(&handler_state, &place, after, to).await,
        };
    }
    handler_state.room.notify_one();
}

async fn attempted(
    core: &Core,
    handler_state: &HandlerState,
    place: &Arc<Place>,
    item: Message,
    attempt: u32,
    head: &mut Head,
) -> Input<Message> {
    let early = if fault!(WaitsAsWorker) { Some(begin(handler_state, place, &item).await) } else { None };
    if attempt == 1 && !item.is_again() && !fault!(NoGate) {
        give_way(core, handler_state, &item).await;
    }
    let worker = match early {
        Some(worker) => worker,
        None => begin(handler_state, place, &item).await,
    };
    if handler_state.phase() >= Phase::Leaving {
        tried(handler_state, place, &item, false);
        handler_state.resolve(&item, || Answer::Gone);
        return Input::Buried;
    }
    head.first.get_or_insert_with(Timestamp::now);
    handler_state.metrics.calls.fetch_add(1, Relaxed);
    let clock = sync::Instant::now();
    let ended = handler_state
        .asked
        .handler
        .call(&handler_state.shared.runtime, item.clone().on_attempt(attempt), handler_state.asked.timeout)
        .await;
    if !matches!(ended, Ended::Stopped { begun: false }) {
        handler_state.metrics.times.add(clock.elapsed());
    }
    if matches!(ended, Ended::Stuck(..)) {
        // Before the worker is released, so that no more calls start than may be stuck.
        handler_state.work().stuck += 1;
    }
    drop(worker);
    let failure = match ended {
        Ended::Done(value) => {
            handler_state.metrics.handled.fetch_add(1, Relaxed);
            tried(handler_state, place, &item, false);
            taken_out(handler_state, &item).await;
            handler_state.resolve(&item, || Answer::Done(value));
            return Input::Succeeded;
        }
        Ended::Failed(failure) => failure,
        Ended::Stopped { begun } => return stopped(handler_state, place, &item, attempt, begun),
        Ended::Stuck(failure, handle) => {
            head.stuck = Some(handle);
            failure
        }
    };
    handler_state.metrics.failed(&failure);
    let (handler, id) = (&*handler_state.asked.name, item.id());
    tracing::debug!(handler, %id, attempt, error = %failure, "a handler failed");
    head.failure = Some(failure);
    // It is not called again while an earlier call runs, nor for an ephemeral event, nor when the bus closes.
    let last = head.stuck.is_some() || item.is_ephemeral() || handler_state.phase() >= Phase::Draining;
    tried(handler_state, place, &item, true);
    fault!(RetriesLater, {
        if !last && attempt < handler_state.asked.retry.calls() {
            handler_state.work().branch_queues.take(place, item);
            return Input::Succeeded;
        }
    });
    Input::Failed { last }
}

/// The runtime shuts down: the handler leaves as if its bus were closed, without another attempt or a dead letter.
fn stopped(
    handler_state: &HandlerState,
    place: &Arc<Place>,
    item: &Message,
    attempt: u32,
    begun: bool,
) -> Input<Message> {
    if !begun {
        handler_state.metrics.calls.fetch_sub(1, Relaxed);
    }
    let attempts = attempt - u32::from(!begun);
    tried(handler_state, place, item, false);
    handler_state.resolve(item, || Answer::Failed { failure: Failure::Stopped, attempts });
    Input::Buried
}

/// Waits for a worker, and while too many timed-out calls are running, since they occupy shared threads.
async fn begin(handler_state: &HandlerState, place: &Arc<Place>, item: &Message) -> impl Drop + use<> {
    loop {
        let worker = handler_state.worker().await;
        if handler_state.work().stuck < MAX_STUCK || handler_state.phase() >= Phase::Leaving {
            return worker;
        }
        drop(worker);
        tried(handler_state, place, item, true);
        handler_state.unstuck().await;
    }
}

/// Waits for the first attempts of handlers of higher priority, each for no longer than its own timeout.
async fn give_way(core: &Core, handler_state: &HandlerState, item: &Message) {
    let Some(position) = item.position() else { return };
    let roster = core.roster();
    if !roster.ranked {
        return;
    }
    let begun = Instant::now();
    let itself = fault!(WaitsForItself);
    let above = |s: &&Arc<HandlerState>| s.asked.priority > handler_state.asked.priority - i32::from(itself);
    for other in roster.handler_states.iter().filter(above) {
        if other.asked.route.takes(item) {
            // After its timeout it counts as gone.
            tokio::select! {
                _ = timeout_at(begun + other.asked.timeout, other.passed(position)) => {}
                () = handler_state.reached(Phase::Leaving) => return,
            }
        }
    }
}

/// The first attempt has ended: nothing has to wait for this event any more. While it is retried, nothing has to wait
/// for later events of its queue either.
fn tried(handler_state: &HandlerState, place: &Arc<Place>, item: &Message, again: bool) {
    let mut work = handler_state.work();
    let work = &mut *work;
    if let Some(position) = item.position() {
        work.progress.tried(position);
    }
    for later in work.branch_queues.items(place).filter(|_| again) {
        if let Some(position) = later.position() {
            work.progress.tried(position);
        }
    }
    handler_state.tried.notify_waiters();
}

async fn pause(handler_state: &HandlerState, attempts: u32) -> Input<Message> {
    let rest = handler_state.asked.retry.delay(attempts, chance());
    // A closing bus does not back off: one last attempt.
    let _ = timeout(rest, handler_state.reached(Phase::Draining)).await;
    if handler_state.phase() >= Phase::Leaving { Input::Buried } else { Input::Waited }
}

/// A replayed dead letter was handled.
async fn taken_out(handler_state: &HandlerState, item: &Message) {
    let Some(event) = item.event() else { return };
    if !item.is_again() && !handler_state.dead_letters.has(event.position()) {
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

async fn bury(
    handler_state: &HandlerState,
    item: &Message,
    attempts: u32,
    head: &mut Head,
) -> Input<Message> {
    let failure = head.failure.take().unwrap_or(Failure::Stopped);
    if let Some(dead_letter) = dead_letter(handler_state, item, attempts, head.first, &failure) {
        let mut records = SidecarWrites::new();
        let _writing = handler_state.dead_letters.writing();
        handler_state.dead_letters.put(&mut records, &dead_letter);
        handler_state.metrics.dead_letters.fetch_add(1, Relaxed);
        let (handler, id) = (&*handler_state.asked.name, item.id());
        match handler_state.shared.handle.write_records_async(records).await {
            Ok(()) => {
                tracing::warn!(handler, %id, attempts, error = %failure, "an event became a dead letter")
            }
            Err(e) => {
                handler_state.shared.counts.dead_letters_lost.fetch_add(1, Relaxed);
                tracing::error!(handler, %id, error = %failure, "a dead letter could not be written: {e}");
            }
        }
    }
    handler_state.resolve(item, || Answer::Failed { failure, attempts });
    if let Some(stuck) = head.stuck.take() {
        tokio::select! {
            _ = stuck => {}
            () = handler_state.reached(Phase::Leaving) => {}
        }
        handler_state.work().stuck -= 1;
        handler_state.unstuck.notify_waiters();
    }
    Input::Buried
}

/// An ephemeral event leaves no dead letter.
fn dead_letter(
    handler_state: &HandlerState,
    item: &Message,
    attempts: u32,
    first: Option<Timestamp>,
    failure: &Failure,
) -> Option<DeadLetter> {
    let event = item.event()?;
    Some(DeadLetter {
        owner: handler_state.dead_letters.owner().clone(),
        position: event.position(),
        at: event.address(),
        id: event.id(),
        kind: event.kind().to_owned(),
        error: failure.to_string(),
        deliveries: attempts,
        first: first.unwrap_or_else(Timestamp::now),
        last: Timestamp::now(),
        again: false,
    })
}

/// Reads the events that did not fit into the queue.
async fn refill(
    handler_state: &Arc<HandlerState>,
    place: &Arc<Place>,
    after: u64,
    to: u64,
) -> Input<Message> {
    let room = handler_state.work().branch_queues.refill();
    let (reading, place) = (handler_state.clone(), place.clone());
    let read =
        handler_state.shared.runtime.spawn_blocking(move || read(&reading, &place, (after, to), room)).await;
    let read = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            let handler = &*handler_state.asked.name;
            tracing::error!(handler, %error, after, to, "a handler's events could not be read; they are skipped");
            *lock(&handler_state.ended) = Some(error.to_string());
            handler_state.go(Phase::Leaving);
            (Vec::new(), to)
        }
        // The runtime is shutting down.
        Err(_) => (Vec::new(), to),
    };
    Input::Refilled { items: read.0, scanned: read.1 }
}

fn read(
    handler_state: &HandlerState,
    place: &Place,
    (after, to): (u64, u64),
    room: usize,
) -> Result<(Vec<Message>, u64)> {
    let reader = lock(&handler_state.reader).clone().ok_or(Error::Closed { after: None })?;
    let branch = reader.branch(place)?;
    let (mut items, mut scanned) = (Vec::new(), after);
    while scanned < to && items.is_empty() {
        let range = Range { from: scanned + 1, to, limit: LANE_PAGE, reverse: false };
        let page = reader.page(&branch, range)?;
        if page.is_empty() {
            return Ok((items, to));
        }
        for event in page {
            if items.len() == room {
                return Ok((items, scanned));
            }
            scanned = event.sequence().get();
            // What cannot be upcast was not taken at first, and is not taken now.
            let Ok(event) = reader.shaped(event) else { continue };
            let message = Message::recorded(event);
            if handler_state.asked.route.takes(&message) {
                items.push(message);
            }
        }
    }
    Ok((items, scanned))
}
