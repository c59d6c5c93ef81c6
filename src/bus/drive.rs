//! The driver of one handler: moves events from its own follower into its machine, while that has room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;

use super::core::{Core, RUNTIME_ENDED};
use super::handler_state::HandlerState;
use super::message::Message;
use super::names::TakenName;
use super::phase::Phase;
use super::run::run;
use crate::delivery::Wanted;
use crate::error::Error;
use crate::event::{Event, Sequence};
use crate::follow::{Followed, Following};
use crate::limits::FOLLOW_AGAIN_MS;
use crate::store::unblocked;
use crate::sync::time::{Instant, sleep, sleep_until};
use crate::sync::{fault, lock};

/// A handler from its subscription to its end. It lets go of everything when it is dropped, also with its runtime.
pub(super) struct Lifetime {
    core: Arc<Core>,
    handler_state: Arc<HandlerState>,
    name: Option<TakenName>,
    is_over: bool,
}

impl Lifetime {
    pub(super) fn new(core: Arc<Core>, handler_state: Arc<HandlerState>, name: TakenName) -> Self {
        Self { core, handler_state, name: Some(name), is_over: false }
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        let handler_state = &self.handler_state;
        fault!(StaysBehind, {
            if !self.is_over {
                return;
            }
        });
        if !self.is_over {
            lock(&handler_state.ended).get_or_insert_with(|| RUNTIME_ENDED.to_owned());
        }
        *lock(&handler_state.reader) = None;
        handler_state.metrics.gone();
        // Before it is gone: whoever waits for that may take the name.
        drop(self.name.take());
        handler_state.go(Phase::Gone);
        handler_state.work().progress.gone();
        handler_state.tried.notify_waiters();
        self.core.leave(handler_state.id);
    }
}

pub(super) async fn drive(
    mut lifetime: Lifetime,
    mut following: Following,
    mut told: mpsc::Receiver<Message>,
) {
    let (core, handler_state) = (lifetime.core.clone(), lifetime.handler_state.clone());
    let end = match counted(&handler_state).await {
        Ok(()) => take_all(&core, &handler_state, &mut following, &mut told).await,
        Err(error) => {
            let handler = &*handler_state.asked.name;
            tracing::error!(handler, %error, "a handler's dead letters cannot be read; it has ended");
            *lock(&handler_state.ended) = Some(error.to_string());
            Phase::Draining
        }
    };
    drop((following, told));
    handler_state.go(end);
    late(&handler_state, true);
    ended(&handler_state).await;
    lifetime.is_over = true;
}

/// What is there of its dead letters is counted where blocking is allowed, before anything is asked of them.
async fn counted(handler_state: &HandlerState) -> Result<(), Error> {
    // Also when the store was closed meanwhile: it is given what was committed before.
    loop {
        let Some(reader) = lock(&handler_state.reader).clone() else { return Ok(()) };
        let dead_letters = handler_state.dead_letters.clone();
        match unblocked(move || dead_letters.count(&reader)).await {
            Err(error) if error.is_passing() && handler_state.phase() < Phase::Leaving => {
                sleep(Duration::from_millis(FOLLOW_AGAIN_MS)).await;
            }
            counted => return counted,
        }
    }
}

/// Takes events until there are no more, or no more are wanted: the phase that comes then.
async fn take_all(
    core: &Arc<Core>,
    handler_state: &Arc<HandlerState>,
    following: &mut Following,
    told: &mut mpsc::Receiver<Message>,
) -> Phase {
    let mut phase = handler_state.phase.subscribe();
    let mut missed = send_again(core, handler_state).await;
    loop {
        let now = *phase.borrow_and_update();
        if now >= Phase::Leaving {
            return Phase::Draining;
        }
        let room = has_room(handler_state);
        let taken = tokio::select! {
            biased;
            _ = phase.changed() => false,
            () = handler_state.room.notified(), if !room => false,
            () = again(handler_state, missed) => { missed = send_again(core, handler_state).await; false }
            Some(message) = told.recv() => take_ephemeral(core, handler_state, message),
            item = next(handler_state, following), if room => match item {
                Some(Ok(Followed::Event { event, .. })) => take_recorded(core, handler_state, event),
                Some(Ok(Followed::CaughtUp { .. })) => { late(handler_state, false); false }
                Some(Ok(Followed::Gap { first, .. })) => { pass(handler_state, first.saturating_sub(1)); false }
                Some(Err(Error::Upcast { at, reason, .. })) => {
                    handler_state.metrics.unreadable.fetch_add(1, Relaxed);
                    let handler = &*handler_state.asked.name;
                    tracing::warn!(handler, %at, reason, "an event cannot be upcast, so the handler does not get it");
                    false
                }
                // The follower tries again.
                Some(Err(error)) if error.is_passing() => {
                    let handler = &*handler_state.asked.name;
                    tracing::debug!(handler, %error, "a handler waits for the store");
                    false
                }
                Some(Err(error)) => {
                    let handler = &*handler_state.asked.name;
                    tracing::error!(handler, %error, "a handler's events cannot be followed; the handler has ended");
                    *lock(&handler_state.ended) = Some(error.to_string());
                    return Phase::Draining;
                }
                // Everything was taken.
                None => return Phase::Draining,
            },
        };
        if taken && handler_state.asked.once {
            return Phase::Ending;
        }
    }
}

/// The next item to process. `None` if the store is closed, or if the handler drains and has scanned everything
/// committed before.
async fn next(handler_state: &HandlerState, following: &mut Following) -> Option<Result<Followed, Error>> {
    let scanned = following.scanned();
    std::future::poll_fn(|cx| match Pin::new(&mut *following).poll_next(cx) {
        // It scans before it waits, so what it has scanned is known now.
        Poll::Pending if scanned.load(Relaxed) >= handler_state.until.load(Relaxed) => Poll::Ready(None),
        polled => polled,
    })
    .await
}

/// Waits until nothing is unresolved. A handler that has to leave starts nothing more.
async fn ended(handler_state: &Arc<HandlerState>) {
    let mut leaving = false;
    loop {
        if !leaving && handler_state.phase() >= Phase::Leaving {
            leaving = true;
            let left = handler_state.leave();
            left.iter().for_each(|message| handler_state.resolve(message, || super::answer::Answer::Gone));
        }
        if handler_state.work().machine.lanes() == 0 {
            return;
        }
        tokio::select! {
            () = handler_state.room.notified() => {}
            () = handler_state.reached(Phase::Leaving), if !leaving => {}
        }
    }
}

/// Whether it takes more. While it does not, no handler of lower priority waits for it.
fn has_room(handler_state: &HandlerState) -> bool {
    let mut work = handler_state.work();
    let room = work.has_room();
    if !room && !work.full {
        work.progress.late(true);
        handler_state.tried.notify_waiters();
    } else if room && work.full {
        let live = work.live;
        work.progress.late(!live);
    }
    work.full = !room;
    room
}

fn late(handler_state: &HandlerState, late: bool) {
    let mut work = handler_state.work();
    work.live = !late;
    let late = late || work.full;
    work.progress.late(late);
    drop(work);
    handler_state.tried.notify_waiters();
}

/// What there was up to this position, and was not taken, is gone.
fn pass(handler_state: &HandlerState, position: u64) {
    let mut work = handler_state.work();
    work.machine.pass(position);
    work.progress.took(position, false);
    drop(work);
    handler_state.tried.notify_waiters();
}

fn take_recorded(core: &Arc<Core>, handler_state: &Arc<HandlerState>, event: Event) -> bool {
    let (place, sequence, position) = (event.place().clone(), event.sequence().get(), event.position().get());
    let message = Message::recorded(event);
    let is_wanted = handler_state.asked.route.takes_followed(&message);
    let mut work = handler_state.work();
    let wanted = if is_wanted { Wanted::Yes(Some(message)) } else { Wanted::No };
    let scanned = work.machine.scan(&place, sequence, position, wanted);
    let waits = is_wanted && scanned.is_kept && !scanned.is_held_up;
    work.progress.took(position, waits);
    drop(work);
    if !waits {
        handler_state.tried.notify_waiters();
    }
    if is_wanted {
        took(core, handler_state, scanned.begins);
    }
    is_wanted
}

/// `false` if it was dropped.
fn take_ephemeral(core: &Arc<Core>, handler_state: &Arc<HandlerState>, message: Message) -> bool {
    let (place, id) = (message.place().clone(), message.id());
    let put = handler_state.work().machine.put(&place, message);
    match put {
        Some(begins) => took(core, handler_state, begins),
        None => {
            handler_state.dropped_ephemeral();
            let handler = &*handler_state.asked.name;
            tracing::debug!(handler, %id, "an ephemeral event was dropped: the queue is full");
        }
    }
    put.is_some()
}

fn took(core: &Arc<Core>, handler_state: &Arc<HandlerState>, begins: bool) {
    handler_state.metrics.events.fetch_add(1, Relaxed);
    if begins {
        begin(core, handler_state);
    }
}

/// There is something to do in a branch of which nobody takes care.
fn begin(core: &Arc<Core>, handler_state: &Arc<HandlerState>) {
    drop(handler_state.shared.runtime.spawn(run(core.clone(), handler_state.clone())));
}

/// Resolves when dead letters were replayed, or at this time.
async fn again(handler_state: &HandlerState, at: Option<Instant>) {
    match at {
        None => handler_state.dead_letters.rung().await,
        Some(at) => tokio::select! {
            biased;
            () = handler_state.dead_letters.rung() => {}
            () = sleep_until(at) => {}
        },
    }
}

/// Takes replayed dead letters. Says when to ask for them again, if they cannot be read at the moment.
async fn send_again(core: &Arc<Core>, handler_state: &Arc<HandlerState>) -> Option<Instant> {
    let (core, taking) = (core.clone(), handler_state.clone());
    let taken = handler_state.shared.runtime.spawn_blocking(move || take_dead_letters_back(&core, &taking));
    let Ok(Err(error)) = taken.await else { return None };
    let handler = &*handler_state.asked.name;
    tracing::warn!(handler, %error, "replayed dead letters could not be read");
    error.is_passing().then(|| Instant::now() + Duration::from_millis(FOLLOW_AGAIN_MS))
}

fn take_dead_letters_back(core: &Arc<Core>, handler_state: &Arc<HandlerState>) -> Result<(), Error> {
    for dead_letter in handler_state.dead_letters.again()? {
        let (place, position) = (Arc::new(dead_letter.at.place().clone()), dead_letter.position);
        let sequence = dead_letter.at.sequence().map_or(0, Sequence::get);
        let mut work = handler_state.work();
        // A handler that begins further back comes to that event anyway.
        if position.get() > work.machine.scanned().max(handler_state.scanned()) {
            continue;
        }
        // Checked under the lock: it may have been handled since, and a branch goes on only after its dead letter was written.
        let begins = handler_state.dead_letters.is_again(position)?
            && work.machine.replay(&place, sequence, position.get());
        drop(work);
        if begins {
            begin(core, handler_state);
        }
    }
    Ok(())
}
