use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::{Instant, timeout_at};

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
use crate::codec::encode_record;
use crate::error::{Error, Result};
use crate::event::{Address, EventId, Expect, NewEvent, Place};
use crate::store::{Batch, Receipt, lock, unblocked};

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
    /// Records an event at the end of a branch, then waits for the awaited handlers that match it.
    ///
    /// When it returns, the event is recorded as its [`Persistence`] says. A failing handler is reported in its
    /// result, never as an error. Inside a handler, only the append is waited for: otherwise the handler would wait for itself.
    ///
    /// # Cancellation
    /// Once queued, the event is recorded and handled even if the future is dropped.
    ///
    /// # Errors
    /// As [`Store::append`](crate::Store::append); [`Error::Closed`] when the bus is closed.
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
        publish(self.core(), branch_of(address.try_into()?)?, events.into()).await
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

pub(super) async fn publish(core: &Arc<Core>, place: Place, events: Vec<NewEvent>) -> Result<Published> {
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
    let handler_states = match current::is_handling() {
        true => Vec::new(),
        false => core.roster().handler_states.iter().filter(|s| s.asked.awaited).cloned().collect(),
    };
    let ids: Vec<EventId> =
        recorded.iter().map(NewEvent::id).chain(told.iter().map(|message| message.id())).collect();
    // Before the append: a handler may be done before its publisher looks.
    let held = (!handler_states.is_empty()).then(|| core.shared.tickets.open(ids.clone()));
    let receipt = match recorded.len() {
        0 => None,
        count => {
            let mut batch = Batch::new().add(Address::from(place), Expect::Any, recorded)?;
            if let Some(durability) = durability(&asked) {
                batch = batch.durability(durability);
            }
            let receipt = core.shared.handle.append_async(batch).await?;
            core.shared.counts.published.fetch_add(count as u64, Relaxed);
            Some(receipt)
        }
    };
    told.iter().for_each(|message| core.tell(message));
    // What was recorded before has been handled, or is being handled.
    let repeated = receipt.as_ref().is_some_and(Receipt::duplicate);
    let answers = match held {
        Some(held) if !repeated => answers(core, held, handler_states, ids, told).await?,
        _ => Vec::new(),
    };
    Ok(Published { receipt, answers })
}

/// An ephemeral event, checked like any other.
pub(super) fn ephemeral(core: &Core, place: &Place, event: &NewEvent) -> Result<Message> {
    let record = encode_record(event, core.shared.handle.payload_bytes())?;
    Ok(Message::ephemeral(Arc::new(place.clone()), record))
}

/// Waits for every awaited handler that takes one of the events.
async fn answers(
    core: &Arc<Core>,
    held: Held<'_>,
    handler_states: Vec<Arc<HandlerState>>,
    ids: Vec<EventId>,
    told: Vec<Message>,
) -> Result<Vec<Answered>> {
    let until = deadline(core.settings.await_limit);
    let reading = core.clone();
    // As handlers get them: in their newest shape.
    let events = unblocked(move || {
        let reader = reading.shared.handle.reader()?;
        let mut events = told;
        for id in ids {
            if events.iter().any(|message| message.id() == id) {
                continue;
            }
            match reader.by_id(id).and_then(|event| reader.shaped(event)) {
                Ok(event) => events.push(Message::recorded(event)),
                // No handler gets it.
                Err(Error::Upcast { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(events)
    })
    .await?;
    let mut answers = Vec::new();
    for message in &events {
        for handler_state in
            handler_states.iter().filter(|handler_state| handler_state.asked.route.takes(message))
        {
            let answer = answer(&held, handler_state, message, until).await;
            answers.push(Answered { event: message.id(), handler: handler_state.asked.name.clone(), answer });
        }
    }
    Ok(answers)
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
