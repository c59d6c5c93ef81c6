use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::answer::Answer;
use super::bus::Bus;
use super::core::Core;
use super::current;
use super::handler_state::HandlerState;
use super::message::Message;
use super::persist::{Persistence, durability};
use super::phase::{Phase, deadline};
use super::tickets::Held;
use super::timers::{self, Due, Timer};
use super::wait_for::WaitFor;
use crate::codec::encode_record;
use crate::error::{Error, Result};
use crate::event::{Address, EventId, Expect, NewEvent, PayloadView, Place};
use crate::store::{Batch, Receipt, unblocked};
use crate::sync::time::{Instant, timeout_at};
use crate::sync::{fault, lock};

/// The result of publishing events.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// Where they are recorded; `None` if all were ephemeral.
    pub receipt: Option<Receipt>,
    /// The results of awaited handlers.
    pub answers: Vec<Answered>,
}

/// The result of one awaited handler for one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answered {
    /// The event.
    pub event: EventId,
    /// The handler's name.
    pub handler: Arc<str>,
    /// Its answer.
    pub answer: Answer,
}

impl Published {
    /// What the handler of this name returned for the first event that it handled successfully.
    #[must_use]
    pub fn answer(&self, handler: &str) -> Option<&serde_json::Value> {
        self.answers.iter().find_map(|a| match &a.answer {
            Answer::Done(value) if *a.handler == *handler => Some(value),
            _ => None,
        })
    }

    /// The results that are not a success.
    pub fn failed(&self) -> impl Iterator<Item = &Answered> {
        self.answers.iter().filter(|a| !a.answer.is_done())
    }
}

impl Bus {
    /// Records an event at the end of a branch, then waits for the awaited handlers that match it, or for
    /// [all](Self::waiting_for) that do.
    ///
    /// When it returns, the event is recorded as its [`Persistence`] says. A failing handler is reported in its
    /// result, never as an error. Nothing that happens after the event was recorded is an error either: also when the
    /// store is closed meanwhile, the receipt is returned, with the answers that are known. Inside a handler, only the append is waited for: otherwise the handler
    /// would wait for itself.
    ///
    /// # Cancellation
    /// Once queued, the event is recorded and handled even if the future is dropped.
    ///
    /// # Errors
    /// As [`Store::append`](crate::Store::append), so nothing is recorded, except that the outcome of
    /// [`Error::Unknown`] is open; [`Error::Closed`] when the bus is closed.
    pub async fn publish<A>(&self, address: A, event: NewEvent) -> Result<Published>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.publish_batch(address, vec![event]).await
    }

    /// [`publish`](Self::publish) of several events of one branch: either all of them are recorded or none.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_batch<A>(&self, address: A, events: impl Into<Vec<NewEvent>>) -> Result<Published>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.core().open()?;
        publish(self.core(), self.waits_for(), branch_of(address.try_into()?)?, events.into()).await
    }

    /// Records an event at a time, or after a while: also after a restart, once, by whatever bus or task runs the
    /// store's timers then. See [`Timers::schedule`](crate::bus::timers::Timers::schedule),
    /// [`Timers::list`](crate::bus::timers::Timers::list) and [`Timers::cancel`](crate::bus::timers::Timers::cancel).
    ///
    /// # Errors
    /// As [`Timers::schedule`](crate::bus::timers::Timers::schedule); [`Error::Closed`] when the bus is closed.
    pub async fn emit_later<A>(&self, address: A, event: NewEvent, when: impl Into<Due>) -> Result<Timer>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.core().open()?;
        let place = branch_of(address.try_into()?)?;
        let (handle, event, when) = (self.core().shared.handle.clone(), current::stamp(event), when.into());
        unblocked(move || timers::later(&handle, place, event, when)).await
    }
}

/// The branch to publish to.
pub(super) fn branch_of(address: Address) -> Result<Place> {
    Ok(address.branch_only("events can only be published to a branch")?.clone())
}

pub(super) async fn publish(
    core: &Arc<Core>,
    waits_for: WaitFor,
    place: Place,
    events: Vec<NewEvent>,
) -> Result<Published> {
    core.nowait.ready();
    let mut recorded = Vec::new();
    let mut told = Vec::new();
    let mut asked = Vec::new();
    for event in events {
        let event = current::stamp(event);
        match core.settings.rules.of(event.kind()) {
            Some(Persistence::Ephemeral) => told.push(ephemeral(core, &place, &event)?),
            persistence => {
                asked.push(persistence);
                recorded.push(event);
            }
        }
    }
    let is_waited_for = |s: &&Arc<HandlerState>| s.asked.awaited || waits_for == WaitFor::All;
    let handler_states: Vec<Arc<HandlerState>> = match current::is_handling() && !fault!(WaitsInside) {
        true => Vec::new(),
        false => core.roster().handler_states.iter().filter(is_waited_for).cloned().collect(),
    };
    let ids = recorded.iter().map(NewEvent::id).chain(told.iter().map(|message| message.id())).collect();
    // Before the append: a handler may be done before its publisher looks, and a store that is closed meanwhile gives out
    // no more readers.
    let awaited = match handler_states.is_empty() {
        true => None,
        false => Some((core.shared.tickets.open(ids, waits_for), core.shared.handle.reader()?)),
    };
    let (mut receipt, mut events) = (None, Vec::new());
    if !recorded.is_empty() {
        let count = recorded.len() as u64;
        let mut batch = Batch::new().add(Address::from(place), Expect::Any, recorded)?;
        if let Some(durability) = durability(&asked) {
            batch = batch.durability(durability);
        }
        let appended = match awaited.is_some() {
            true => core.shared.handle.append_events_async(batch).await?,
            false => (core.shared.handle.append_async(batch).await?, Vec::new()),
        };
        core.shared.counts.published.fetch_add(count, Relaxed);
        core.history.published(appended.0.position().get());
        events = appended.1;
        receipt = Some(appended.0);
    }
    told.iter().for_each(|message| core.tell(message));
    // What was recorded before has been handled, or is being handled.
    let repeated = receipt.as_ref().is_some_and(Receipt::duplicate);
    let answers = match awaited {
        Some((held, reader)) if !repeated => {
            // As handlers get them: in their newest shape. None gets one that cannot be upcast.
            let shaped = events.into_iter().filter_map(|event| reader.shaped(event).ok());
            let messages = told.into_iter().chain(shaped.map(Message::recorded)).collect();
            answers(core, held, handler_states, messages).await
        }
        _ => Vec::new(),
    };
    Ok(Published { receipt, answers })
}

/// An ephemeral event, checked like any other.
pub(super) fn ephemeral(core: &Core, place: &Place, event: &NewEvent) -> Result<Message> {
    let record = encode_record(event, core.shared.handle.payload_bytes())?;
    Ok(Message::ephemeral(Arc::new(place.clone()), record))
}

/// Waits for every one of these handlers that takes one of the events. The events are recorded: what fails from here on is an
/// answer.
async fn answers(
    core: &Arc<Core>,
    held: Held<'_>,
    handler_states: Vec<Arc<HandlerState>>,
    messages: Vec<Message>,
) -> Vec<Answered> {
    let until = deadline(core.settings.await_limit);
    let mut answers = Vec::new();
    for message in &messages {
        for handler_state in takers(&handler_states, message) {
            let answer = answer(&held, handler_state, message, until).await;
            answers.push(Answered { event: message.id(), handler: handler_state.asked.name.clone(), answer });
        }
    }
    answers
}

/// Those that take an event.
fn takers<'h>(handler_states: &'h [Arc<HandlerState>], message: &Message) -> Vec<&'h Arc<HandlerState>> {
    let payload = PayloadView::of(message.record());
    let takes = |handler: &&Arc<HandlerState>| handler.asked.route.takes_with(message, &payload);
    handler_states.iter().filter(takes).collect()
}

async fn answer(held: &Held<'_>, handler_state: &HandlerState, message: &Message, until: Instant) -> Answer {
    loop {
        // Checked before the result: a handler that leaves has answered before.
        let gone = handler_state.phase() == Phase::Gone;
        if let Some(answer) = held.ticket.take(message.id(), handler_state.id) {
            return answer;
        }
        if gone {
            return Answer::Gone;
        }
        if timeout_at(until, held.ticket.rung()).await.is_err() {
            let ended = lock(&handler_state.ended).is_some();
            return if ended { Answer::Gone } else { Answer::Late };
        }
    }
}
