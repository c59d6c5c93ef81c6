//! An event that a projection raises, on its way to the writer.

use super::fold::Emit;
use crate::error::{Error, Result};
use crate::event::{Address, Event, Expect, NewEvent, Place};
use crate::store::{Batch, Range, StoreHandle};

/// An event to be raised.
pub(super) struct Raise {
    pub(super) place: Place,
    pub(super) event: NewEvent,
    /// The sequence and position of its cause, when it goes into the branch of that.
    beside: Option<(u64, u64)>,
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
        let beside = emit.to.is_none().then(|| (cause.sequence().get(), cause.position().get()));
        Self { place: emit.to.unwrap_or_else(|| (**cause.place()).clone()), event, beside }
    }

    /// Whether the branch of its cause was deleted since: it is not begun again for this, nor is another of its name told.
    pub(super) fn is_in_vain(&self, handle: &StoreHandle) -> Result<bool> {
        let Some((sequence, position)) = self.beside else { return Ok(false) };
        let reader = handle.reader()?;
        let branch = match reader.branch(&self.place) {
            Err(Error::Deleted { .. } | Error::NotFound { .. }) => return Ok(true),
            branch => branch?,
        };
        if branch.attributes.incarnation == 0 {
            return Ok(false);
        }
        let range = Range { from: sequence, to: sequence, limit: 1, reverse: false };
        match reader.page(&branch, range) {
            Err(Error::Deleted { .. } | Error::NotFound { .. }) => Ok(true),
            Err(Error::Truncated { .. }) => Ok(false),
            page => Ok(page?.first().is_none_or(|event| event.position().get() != position)),
        }
    }

    /// Recorded once: a retry is recognised by its id.
    pub(super) fn batch(self) -> Result<Batch> {
        Batch::new().add(Address::from(self.place), Expect::Any, self.event)
    }
}
