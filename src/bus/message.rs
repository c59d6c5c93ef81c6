use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::delivery::Item;
use crate::error::Result;
use crate::event::{BranchName, Event, Invalid, Place, Record, SessionId};

/// What a handler gets: a recorded [`Event`], or an ephemeral one that is not recorded. It has all methods of
/// [`Record`]. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    body: Body,
    deliveries: u32,
    again: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Recorded(Event),
    Ephemeral(Arc<Place>, Record),
}

impl Message {
    pub(super) fn recorded(event: Event) -> Self {
        Self { body: Body::Recorded(event), deliveries: 1, again: false }
    }

    pub(super) fn ephemeral(place: Arc<Place>, record: Record) -> Self {
        Self { body: Body::Ephemeral(place, record), deliveries: 1, again: false }
    }

    pub(super) fn delivered(mut self, deliveries: u32) -> Self {
        self.deliveries = deliveries;
        self
    }

    /// It is a replayed dead letter.
    pub(super) fn sent_again(mut self) -> Self {
        self.again = true;
        self
    }

    pub(super) fn is_again(&self) -> bool {
        self.again
    }

    /// The recorded event; `None` for an ephemeral one.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            Body::Recorded(event) => Some(event),
            Body::Ephemeral(..) => None,
        }
    }

    /// The recorded event; `None` for an ephemeral one.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        match self.body {
            Body::Recorded(event) => Some(event),
            Body::Ephemeral(..) => None,
        }
    }

    /// Whether it was never stored.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        matches!(self.body, Body::Ephemeral(..))
    }

    /// How often the event was delivered to this handler, including this time. Starts at 1, and again at 1 for a replayed dead
    /// letter.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// The event without its place.
    #[must_use]
    pub fn record(&self) -> &Record {
        match &self.body {
            Body::Recorded(event) => event.record(),
            Body::Ephemeral(_, record) => record,
        }
    }

    /// Session and branch.
    #[must_use]
    pub fn place(&self) -> &Arc<Place> {
        match &self.body {
            Body::Recorded(event) => event.place(),
            Body::Ephemeral(place, _) => place,
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.place().session
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> &BranchName {
        &self.place().branch
    }

    /// Deserializes the JSON payload.
    ///
    /// # Errors
    /// [`Invalid`] with the field `data` if it is not JSON, or does not have that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        match &self.body {
            Body::Recorded(event) => event.json(),
            Body::Ephemeral(place, record) => serde_json::from_slice(record.payload()).map_err(|e| {
                Invalid::new(
                    "data",
                    format!("of {} in {place} does not have the expected shape: {e}", record.kind()),
                )
            }),
        }
    }

    /// The position; `None` for an ephemeral one.
    pub(super) fn position(&self) -> Option<u64> {
        self.event().map(|event| event.position().get())
    }
}

impl Deref for Message {
    type Target = Record;
    fn deref(&self) -> &Record {
        self.record()
    }
}

impl Item for Message {
    fn bytes(&self) -> usize {
        self.record().encoded().len()
    }
}
