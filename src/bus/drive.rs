//! The driver of one handler: takes events from its own follower into lanes, as long as there is room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use futures_core::Stream;
use tokio::sync::mpsc;

use super::core::Core;
use super::heard::Heard;
use super::lane::Taken;
use super::phase::Phase;
use super::run::run;
use super::seat::Seat;
use crate::error::Error;
use crate::event::Event;
use crate::follow::{Followed, Following};
use crate::store::lock;

pub(super) async fn drive(
    core: Arc<Core>,
    seat: Arc<Seat>,
    mut following: Following,
    mut told: mpsc::Receiver<Heard>,
) {
    let mut phase = seat.phase.subscribe();
    send_again(&core, &seat).await;
    let mut end = Phase::Draining;
    loop {
        let now = *phase.borrow_and_update();
        if now >= Phase::Leaving {
            break;
        }
        let room = has_room(&seat);
        let taken = tokio::select! {
            biased;
            _ = phase.changed() => false,
            () = seat.room.notified(), if !room => false,
            () = seat.letters.rung() => { send_again(&core, &seat).await; false }
            Some(heard) = told.recv() => take(&core, &seat, heard),
            item = next(&seat, &mut following), if room => match item {
                Some(Ok(Followed::Event { event, .. })) => take_recorded(&core, &seat, event),
                Some(Ok(Followed::CaughtUp { .. })) => { late(&seat, false); false }
                Some(Err(Error::Upcast { at, reason, .. })) => {
                    seat.metrics.unreadable.fetch_add(1, Relaxed);
                    let handler = &*seat.asked.name;
                    tracing::warn!(handler, %at, reason, "a handler cannot be given an event in its newest shape");
                    false
                }
                Some(Err(error)) => {
                    let handler = &*seat.asked.name;
                    tracing::error!(handler, %error, "a handler's events cannot be followed; it has ended");
                    *lock(&seat.ended) = Some(error.to_string());
                    break;
                }
                // Everything was taken.
                None => break,
            },
        };
        if taken && seat.asked.once {
            end = Phase::Ending;
            break;
        }
    }
    drop((following, told));
    seat.go(end);
    late(&seat, true);
    ended(&seat).await;
    *lock(&seat.reader) = None;
    seat.go(Phase::Gone);
    seat.work().progress.gone();
    seat.tried.notify_waiters();
    core.leave(seat.id);
}

/// What is followed next. `None` when the store is closed, or when the handler drains and has looked at everything that
/// was committed before.
async fn next(seat: &Seat, following: &mut Following) -> Option<Result<Followed, Error>> {
    let scanned = following.scanned();
    std::future::poll_fn(|cx| match Pin::new(&mut *following).poll_next(cx) {
        // It looks before it waits, so what it has looked at is known now.
        Poll::Pending if scanned.load(Relaxed) >= seat.until.load(Relaxed) => Poll::Ready(None),
        polled => polled,
    })
    .await
}

/// Waits until every lane rests. Who is told to leave begins nothing more.
async fn ended(seat: &Arc<Seat>) {
    let mut leaving = false;
    loop {
        if !leaving && seat.phase() >= Phase::Leaving {
            leaving = true;
            let left = seat.leave();
            left.iter().for_each(|heard| seat.settle(heard, || super::answer::Answer::Gone));
        }
        if seat.work().lanes.is_empty() {
            return;
        }
        tokio::select! {
            () = seat.room.notified() => {}
            () = seat.reached(Phase::Leaving), if !leaving => {}
        }
    }
}

/// Whether it takes more. While it does not, nobody of lower priority waits for it.
fn has_room(seat: &Seat) -> bool {
    let mut work = seat.work();
    let room = work.has_room();
    if !room && !work.full {
        work.progress.late(true);
        seat.tried.notify_waiters();
    } else if room && work.full {
        let live = work.live;
        work.progress.late(!live);
    }
    work.full = !room;
    room
}

fn late(seat: &Seat, late: bool) {
    let mut work = seat.work();
    work.live = !late;
    let late = late || work.full;
    work.progress.late(late);
    drop(work);
    seat.tried.notify_waiters();
}

fn take_recorded(core: &Arc<Core>, seat: &Arc<Seat>, event: Event) -> bool {
    let position = event.position().get();
    let heard = Heard::recorded(event);
    if seat.asked.route.takes(&heard) {
        return take(core, seat, heard);
    }
    seat.work().progress.took(position, false);
    seat.tried.notify_waiters();
    false
}

/// `false` when it was dropped.
fn take(core: &Arc<Core>, seat: &Arc<Seat>, heard: Heard) -> bool {
    let place = heard.place().clone();
    let (position, id) = (heard.position(), heard.id());
    let put = {
        let mut work = seat.work();
        let put = work.lanes.take(&place, heard);
        if let Some(position) = position {
            let waits = !put.held && put.taken != Taken::Remembered;
            work.progress.took(position, waits);
            if !waits {
                seat.tried.notify_waiters();
            }
        }
        put
    };
    match put.taken {
        Taken::Dropped => {
            seat.dropped_ephemeral();
            tracing::debug!(handler = &*seat.asked.name, %id, "an ephemeral event found no room");
            return false;
        }
        Taken::Begin => drop(seat.shared.runtime.spawn(run(core.clone(), seat.clone(), place))),
        Taken::Queued | Taken::Remembered => {}
    }
    seat.metrics.events.fetch_add(1, Relaxed);
    true
}

/// Takes the letters that were sent again.
async fn send_again(core: &Arc<Core>, seat: &Arc<Seat>) {
    let (core, taking) = (core.clone(), seat.clone());
    let taken = seat.shared.runtime.spawn_blocking(move || take_letters_back(&core, &taking));
    if let Ok(Err(error)) = taken.await {
        let handler = &*seat.asked.name;
        tracing::warn!(handler, %error, "letters that were sent again could not be read");
    }
}

fn take_letters_back(core: &Arc<Core>, seat: &Arc<Seat>) -> Result<(), Error> {
    let reader = seat.shared.desk.reader()?;
    for letter in seat.letters.again()? {
        let event = match reader.by_id(letter.id).and_then(|event| reader.shaped(event)) {
            Ok(event) => event,
            Err(error) => {
                let handler = &*seat.asked.name;
                tracing::warn!(handler, %error, "a letter's event could not be read; it stays a letter");
                continue;
            }
        };
        let place = event.place().clone();
        let mut work = seat.work();
        // Looked at under the lock: it may have been handled since, and a lane lets go only after the letter was written.
        if !seat.letters.is_again(letter.position)? {
            continue;
        }
        let put = work.lanes.take_again(&place, Heard::recorded(event).sent_again());
        drop(work);
        if put.is_some_and(|put| put.taken == Taken::Begin) {
            drop(seat.shared.runtime.spawn(run(core.clone(), seat.clone(), place)));
        }
    }
    Ok(())
}
