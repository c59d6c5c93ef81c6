//! The result of an append.

use crate::event::{Place, Position, Sequence, Timestamp};

/// The places of the events of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    parts: Vec<Placed>,
    duplicate: bool,
    recorded: Option<Timestamp>,
}

/// The places of the events of one part of an append: consecutive, in the order of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// The branch.
    pub place: Place,
    /// Sequence of the first event.
    pub first: Sequence,
    /// Sequence of the last event: the branch's head after this append.
    pub last: Sequence,
    /// Position of the first event.
    pub first_position: Position,
    /// Position of the last event.
    pub last_position: Position,
}

impl Receipt {
    pub(crate) fn new(parts: Vec<Placed>, duplicate: bool) -> Self {
        Self { parts, duplicate, recorded: None }
    }

    /// The same of events that were recorded at this time.
    pub(crate) fn recorded_at(self, time: Timestamp) -> Self {
        Self { recorded: Some(time), ..self }
    }

    /// One entry for each part of the batch, in order.
    #[must_use]
    pub fn parts(&self) -> &[Placed] {
        &self.parts
    }

    /// The events were already recorded: this call was a retry and wrote nothing.
    #[must_use]
    pub fn duplicate(&self) -> bool {
        self.duplicate
    }

    /// When the events were recorded; `None` if they already were, or if the engine does not say.
    #[must_use]
    pub fn recorded(&self) -> Option<Timestamp> {
        self.recorded
    }

    /// Sequence of the first event of the first part.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.parts.first().map_or(Sequence::ZERO, |p| p.first)
    }

    /// Sequence of the last event of the last part.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.parts.last().map_or(Sequence::ZERO, |p| p.last)
    }

    /// Position of the last event of the last part.
    #[must_use]
    pub fn position(&self) -> Position {
        self.parts.last().map_or(Position::ZERO, |p| p.last_position)
    }
}
