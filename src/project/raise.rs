//! An event that a projection raises, on its way to the writer.

use super::fold::Emit;
use crate::error::Result;
use crate::event::{Address, Event, Expect, NewEvent, Place};
use crate::store::Batch;

/// An event to be raised.
pub(super) struct Raise {
    pub(super) place: Place,
    pub(super) event: NewEvent,
}

impl Raise {
    pub(super) fn new(projection: &str, emit: Emit, cause: &Event) -> Self {
        let because = emit.cause.unwrap_or(cause.id());
        let mut event = emit.event.with_id(Emit::id(projection, &emit.rule, because)).causation(because);
        if emit.cause.is_none() {
            event = event.occurred(cause.occurred());
        }
        // What an earlier event was correlated with is not known here, and has to be the same however it is raised.
        let known = because == cause.id();
        if let Some(correlation) = cause.correlation().filter(|_| known && event.correlation.is_empty()) {
            event = event.correlation(correlation.to_owned());
        }
        Self { place: emit.to.unwrap_or_else(|| (**cause.place()).clone()), event }
    }

    /// Recorded once: a retry is recognised by its id.
    pub(super) fn batch(self) -> Result<Batch> {
        Batch::new().add(Address::from(self.place), Expect::Any, self.event)
    }
}
