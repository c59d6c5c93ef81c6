//! The runner of a lane: does what the lane's machine says, until it rests.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Answer, Failure};
use super::backoff::chance;
use super::core::Core;
use super::handler::Ended;
use super::heard::Heard;
use super::lane::{Input, Step};
use super::phase::Phase;
use super::seat::Seat;
use crate::consumer::Letter;
use crate::error::{Error, Result};
use crate::event::{Place, Timestamp};
use crate::limits::{LANE_PAGE, MAX_STUCK};
use crate::store::{Range, SidecarWrites, lock};

/// What the runner knows of the event at the head of its lane.
#[derive(Default)]
struct Head {
    first: Option<Timestamp>,
    failure: Option<Failure>,
    /// A call that runs on past its time: the next event waits until it has really ended.
    stuck: Option<JoinHandle<Result<serde_json::Value, String>>>,
}

pub(super) async fn run(core: Arc<Core>, seat: Arc<Seat>, place: Arc<Place>) {
    let mut head = Head::default();
    let mut input = Input::Begun;
    loop {
        let freed = matches!(input, Input::Succeeded | Input::Buried);
        let step = seat.work().lanes.next(&place, input);
        if freed {
            head = Head::default();
            seat.room.notify_one();
        }
        input = match step {
            Step::Rest => break,
            Step::Try { item, attempt } => attempted(&core, &seat, &place, item, attempt, &mut head).await,
            Step::Pause { attempts } => pause(&seat, attempts).await,
            Step::Bury { item, attempts } => bury(&seat, &item, attempts, &mut head).await,
            Step::Refill { after, to } => refill(&seat, &place, after, to).await,
        };
    }
    seat.room.notify_one();
}

async fn attempted(
    core: &Core,
    seat: &Seat,
    place: &Arc<Place>,
    item: Heard,
    attempt: u32,
    head: &mut Head,
) -> Input<Heard> {
    if attempt == 1 && !item.is_again() {
        give_way(core, seat, &item).await;
    }
    let worker = begin(seat, place, &item).await;
    if seat.phase() >= Phase::Leaving {
        tried(seat, place, &item, false);
        seat.settle(&item, || Answer::Gone);
        return Input::Buried;
    }
    head.first.get_or_insert_with(Timestamp::now);
    seat.metrics.calls.fetch_add(1, Relaxed);
    let clock = std::time::Instant::now();
    let ended = seat
        .asked
        .handler
        .call(&seat.shared.runtime, item.clone().on_attempt(attempt), seat.asked.timeout)
        .await;
    seat.metrics.times.add(clock.elapsed());
    if matches!(ended, Ended::Stuck(..)) {
        // Before the worker is given back, so that no more begin than may be stuck.
        seat.work().stuck += 1;
    }
    drop(worker);
    let failure = match ended {
        Ended::Done(value) => {
            tried(seat, place, &item, false);
            taken_out(seat, &item).await;
            seat.settle(&item, || Answer::Done(value));
            return Input::Succeeded;
        }
        Ended::Failed(failure) => failure,
        Ended::Stopped { begun } => return stopped(seat, place, &item, attempt, begun),
        Ended::Stuck(failure, handle) => {
            head.stuck = Some(handle);
            failure
        }
    };
    seat.metrics.failed(&failure);
    let (handler, id) = (&*seat.asked.name, item.id());
    tracing::debug!(handler, %id, attempt, error = %failure, "a handler failed");
    head.failure = Some(failure);
    // It is not called again while an earlier call runs, nor for what was never stored, nor when the bus closes.
    let last = head.stuck.is_some() || item.is_ephemeral() || seat.phase() >= Phase::Draining;
    tried(seat, place, &item, true);
    Input::Failed { last }
}

/// The runtime ends: the handler leaves as one does whose bus is closed, with neither a further attempt nor a letter.
fn stopped(seat: &Seat, place: &Arc<Place>, item: &Heard, attempt: u32, begun: bool) -> Input<Heard> {
    if !begun {
        seat.metrics.calls.fetch_sub(1, Relaxed);
    }
    let attempts = attempt - u32::from(!begun);
    tried(seat, place, item, false);
    seat.settle(item, || Answer::Failed { failure: Failure::Stopped, attempts });
    Input::Buried
}

/// Waits for a worker, and as long as too many calls run on past their time: their threads are those of everybody.
async fn begin(seat: &Seat, place: &Arc<Place>, item: &Heard) -> impl Drop + use<> {
    loop {
        let worker = seat.worker().await;
        if seat.work().stuck < MAX_STUCK || seat.phase() >= Phase::Leaving {
            return worker;
        }
        drop(worker);
        tried(seat, place, item, true);
        seat.unstuck().await;
    }
}

/// Waits for the first attempts of handlers of higher priority, each for no longer than its own time.
async fn give_way(core: &Core, seat: &Seat, item: &Heard) {
    let Some(position) = item.position() else { return };
    let roster = core.roster();
    if !roster.ranked {
        return;
    }
    let begun = Instant::now();
    for other in roster.seats.iter().filter(|s| s.asked.priority > seat.asked.priority) {
        if other.asked.route.takes(item) {
            // Past its time it is as good as gone.
            tokio::select! {
                _ = timeout_at(begun + other.asked.timeout, other.passed(position)) => {}
                () = seat.reached(Phase::Leaving) => return,
            }
        }
    }
}

/// The first attempt has ended: nobody has to wait for this event any more. When it is tried again, nobody has to wait
/// for what comes after it in its lane either.
fn tried(seat: &Seat, place: &Arc<Place>, item: &Heard, again: bool) {
    let mut work = seat.work();
    let work = &mut *work;
    if let Some(position) = item.position() {
        work.progress.tried(position);
    }
    for later in work.lanes.items(place).filter(|_| again) {
        if let Some(position) = later.position() {
            work.progress.tried(position);
        }
    }
    seat.tried.notify_waiters();
}

async fn pause(seat: &Seat, attempts: u32) -> Input<Heard> {
    let rest = seat.asked.retry.delay(attempts, chance());
    // A bus that closes rests no more: one last attempt.
    let _ = timeout(rest, seat.reached(Phase::Draining)).await;
    if seat.phase() >= Phase::Leaving { Input::Buried } else { Input::Waited }
}

/// A letter that was sent again was handled.
async fn taken_out(seat: &Seat, item: &Heard) {
    let Some(event) = item.event() else { return };
    if !seat.letters.has(event.position()) {
        return;
    }
    let mut marks = SidecarWrites::new();
    if seat.letters.take(&mut marks, event.position())
        && let Err(error) = seat.shared.desk.mark_async(marks).await
    {
        seat.letters.keep(event.position());
        let handler = &*seat.asked.name;
        tracing::warn!(handler, %error, "a letter that was handled could not be taken away");
    }
}

async fn bury(seat: &Seat, item: &Heard, attempts: u32, head: &mut Head) -> Input<Heard> {
    let failure = head.failure.take().unwrap_or(Failure::Stopped);
    if let Some(letter) = letter(seat, item, attempts, head.first, &failure) {
        let mut marks = SidecarWrites::new();
        seat.letters.put(&mut marks, &letter);
        seat.metrics.letters.fetch_add(1, Relaxed);
        let (handler, id) = (&*seat.asked.name, item.id());
        match seat.shared.desk.mark_async(marks).await {
            Ok(()) => tracing::warn!(handler, %id, attempts, error = %failure, "an event became a letter"),
            Err(e) => {
                seat.shared.counts.letters_lost.fetch_add(1, Relaxed);
                tracing::error!(handler, %id, error = %failure, "an event could not become a letter: {e}");
            }
        }
    }
    seat.settle(item, || Answer::Failed { failure, attempts });
    if let Some(stuck) = head.stuck.take() {
        tokio::select! {
            _ = stuck => {}
            () = seat.reached(Phase::Leaving) => {}
        }
        seat.work().stuck -= 1;
        seat.unstuck.notify_waiters();
    }
    Input::Buried
}

/// What was never stored leaves no letter.
fn letter(
    seat: &Seat,
    item: &Heard,
    attempts: u32,
    first: Option<Timestamp>,
    failure: &Failure,
) -> Option<Letter> {
    let event = item.event()?;
    Some(Letter {
        owner: seat.letters.owner().clone(),
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

/// Reads what the lane had no room for.
async fn refill(seat: &Arc<Seat>, place: &Arc<Place>, after: u64, to: u64) -> Input<Heard> {
    let room = seat.work().lanes.refill();
    let (reading, place) = (seat.clone(), place.clone());
    let read = seat.shared.runtime.spawn_blocking(move || read(&reading, &place, (after, to), room)).await;
    let read = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            let handler = &*seat.asked.name;
            tracing::error!(handler, %error, after, to, "a handler's events could not be read; they are left out");
            *lock(&seat.ended) = Some(error.to_string());
            seat.go(Phase::Leaving);
            (Vec::new(), to)
        }
        // The runtime is going down.
        Err(_) => (Vec::new(), to),
    };
    Input::Refilled { items: read.0, scanned: read.1 }
}

fn read(seat: &Seat, place: &Place, (after, to): (u64, u64), room: usize) -> Result<(Vec<Heard>, u64)> {
    let reader = lock(&seat.reader).clone().ok_or(Error::Closed { after: None })?;
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
            // What cannot be made new was not taken when it came by, and is not taken now.
            let Ok(event) = reader.shaped(event) else { continue };
            let heard = Heard::recorded(event);
            if seat.asked.route.takes(&heard) {
                items.push(heard);
            }
        }
    }
    Ok((items, scanned))
}
