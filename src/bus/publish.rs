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
use crate::codec::encode_record;
use crate::error::{Error, Result};
use crate::event::{Address, EventId, Expect, NewEvent, Place};
use crate::store::{Batch, Reader, Receipt, lock, unblocked};
use crate::sync::fault;
use crate::sync::time::{Instant, timeout_at};

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
    /// result, never as an error. Nothing that happens after the event was recorded is an error either: also when the
    /// store is closed meanwhile, the receipt is returned, with the answers that are known
    /// ([`Answer::Unknown`] stands for the others). Inside a handler, only the append is waited for: otherwise the handler
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
    let handler_states = match current::is_handling() && !fault!(WaitsInside) {
        true => Vec::new(),
        false => core.roster().handler_states.iter().filter(|s| s.asked.awaited).cloned().collect(),
    };
    let sent: Vec<Sent> = recorded.iter().map(Sent::of).collect();
    let ids = sent.iter().map(|sent| sent.id).chain(told.iter().map(|message| message.id())).collect();
    // Before the append: a handler may be done before its publisher looks, and a store that is closed meanwhile gives out
    // no more readers.
    let awaited = match handler_states.is_empty() {
        true => None,
        false => Some((core.shared.tickets.open(ids), core.shared.handle.reader()?)),
    };
    let receipt = match recorded.len() {
        0 => None,
        count => {
            let mut batch = Batch::new().add(Address::from(place), Expect::Any, recorded)?;
            if let Some(durability) = durability(&asked) {
                batch = batch.durability(durability);
            }
            let receipt = core.shared.handle.append_async(batch).await?;
            core.shared.counts.published.fetch_add(count as u64, Relaxed);
            core.history.published(receipt.position().get());
            Some(receipt)
        }
    };
    told.iter().for_each(|message| core.tell(message));
    // What was recorded before has been handled, or is being handled.
    let repeated = receipt.as_ref().is_some_and(Receipt::duplicate);
    let answers = match awaited {
        Some((held, reader)) if !repeated => answers(core, held, handler_states, sent, told, reader).await,
        _ => Vec::new(),
    };
    Ok(Published { receipt, answers })
}

/// A recorded event, as far as its publisher knows it.
#[derive(Clone, Debug)]
struct Sent {
    id: EventId,
    kind: String,
}

impl Sent {
    fn of(event: &NewEvent) -> Self {
        Self { id: event.id(), kind: event.kind().to_owned() }
    }
}

/// An ephemeral event, checked like any other.
pub(super) fn ephemeral(core: &Core, place: &Place, event: &NewEvent) -> Result<Message> {
    let record = encode_record(event, core.shared.handle.payload_bytes())?;
    Ok(Message::ephemeral(Arc::new(place.clone()), record))
}

/// Waits for every awaited handler that takes one of the events. The events are recorded: what fails from here on
/// is an answer.
async fn answers(
    core: &Arc<Core>,
    held: Held<'_>,
    handler_states: Vec<Arc<HandlerState>>,
    sent: Vec<Sent>,
    told: Vec<Message>,
    reader: Reader,
) -> Vec<Answered> {
    let until = deadline(core.settings.await_limit);
    let asked = sent.clone();
    let read = unblocked(move || Ok(asked.iter().map(|sent| read_back(&reader, sent.id)).collect())).await;
    let read: Vec<Result<Option<Message>>> =
        read.unwrap_or_else(|error| sent.iter().map(|_| Err(error.clone())).collect());
    let mut answers = Vec::new();
    let mut events = told;
    for (sent, read) in sent.iter().zip(read) {
        match read {
            Ok(message) => events.extend(message),
            Err(error) => answers.extend(unread(&held, &handler_states, sent, &error)),
        }
    }
    for message in &events {
        for handler_state in
            handler_states.iter().filter(|handler_state| handler_state.asked.route.takes(message))
        {
            let answer = answer(&held, handler_state, message, until).await;
            answers.push(Answered { event: message.id(), handler: handler_state.asked.name.clone(), answer });
        }
    }
    answers
}

/// The event as handlers get it: in its newest shape. No handler gets one that cannot be upcast.
fn read_back(reader: &Reader, id: EventId) -> Result<Option<Message>> {
    match reader.by_id(id).and_then(|event| reader.shaped(event)) {
        Ok(event) => Ok(Some(Message::recorded(event))),
        Err(Error::Upcast { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What is known of an event that cannot be read back, of the handlers that take its type.
fn unread(
    held: &Held<'_>,
    handler_states: &[Arc<HandlerState>],
    sent: &Sent,
    error: &Error,
) -> Vec<Answered> {
    let taking = handler_states.iter().filter(|s| s.asked.route.may_take(&sent.kind));
    let answered = taking.map(|s| Answered {
        event: sent.id,
        handler: s.asked.name.clone(),
        answer: held.ticket.take(sent.id, s.id).unwrap_or_else(|| Answer::Unknown(error.clone())),
    });
    answered.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn what_cannot_be_read_back_is_an_answer_that_says_so_and_not_an_error() {
        let store = Store::in_memory().unwrap();
        let bus = Bus::new(&store).unwrap();
        let core = bus.core();
        for (name, pattern) in [("quick", "a.**"), ("slow", "a.b"), ("other", "b.*")] {
            bus.subscribe(pattern).named(name).awaited().run(|_| async {}).unwrap();
        }
        let handler_states = core.roster().handler_states.clone();
        // As if it had been recorded and the file had been damaged since.
        let sent = Sent { id: EventId::new(), kind: "a.b".into() };
        let held = core.shared.tickets.open(vec![sent.id]);
        core.shared.tickets.resolve(sent.id, handler_states[0].id, Answer::Done(1.into()));
        let reader = core.shared.handle.reader().unwrap();
        let answers = answers(core, held, handler_states, vec![sent], Vec::new(), reader).await;
        let found: Vec<_> = answers.iter().map(|a| (&*a.handler, &a.answer)).collect();
        assert_eq!(found[0], ("quick", &Answer::Done(1.into())));
        assert!(matches!(found[1], ("slow", Answer::Unknown(Error::NotFound { .. }))), "{found:?}");
        assert_eq!(found.len(), 2);
        bus.close().await.unwrap();
    }
}
