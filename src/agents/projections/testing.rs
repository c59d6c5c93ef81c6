//! Helpers that the tests of the projections share.

use std::sync::Arc;

use serde_json::Value;

use crate::codec::encode_record;
use crate::event::{Address, Event, NewEvent, Position, Sequence, Timestamp};
use crate::limits::DEFAULT_PAYLOAD_BYTES;
use crate::project::Projection;
use crate::testkit::Given;

/// An event this many seconds after the epoch.
pub(super) fn at(second: i64, kind: &'static str, data: Value) -> NewEvent {
    NewEvent::new(kind).data(data).occurred(Timestamp::from_micros(second * 1_000_000))
}

/// The state after these events, each folded with and without a snapshot before it.
pub(super) fn folded<P: Projection>(projection: P, events: Vec<NewEvent>) -> P::State {
    let place = "s".parse::<Address>().unwrap().place().clone();
    let given = events.into_iter().try_fold(Given::new(place, projection), Given::when).unwrap();
    given.state().clone()
}

/// An event as the store would give it.
pub(super) fn recorded(address: &str, event: &NewEvent) -> Event {
    let address: Address = address.parse().unwrap();
    let sequence = address.sequence().unwrap_or(Sequence::new(1));
    let position = Position::new(sequence.get());
    let record = encode_record(event, DEFAULT_PAYLOAD_BYTES).unwrap();
    Event::new(Arc::new(address.place().clone()), sequence, position, event.occurred, record)
}
