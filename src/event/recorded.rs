use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Address, BranchName, Invalid, Place, Position, Record, Sequence, SessionId, Timestamp};

/// A recorded event: a [`Record`] with its place in the store. Once acknowledged, it never changes. It has all methods
/// of [`Record`]. Cloning is cheap: the bytes are shared.
///
/// ```
/// # use retold::{NewEvent, Store};
/// # let store = Store::in_memory()?;
/// let new = NewEvent::new("tool.invoked").data(serde_json::json!({"tool": "grep"}));
/// let id = new.id();
/// store.append("run-7", new)?;
/// let event = store.get(id)?;
/// assert_eq!((event.kind(), event.sequence().get()), ("tool.invoked", 1));
/// assert_eq!(event.json::<serde_json::Value>()?["tool"], "grep");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    place: Arc<Place>,
    sequence: Sequence,
    position: Position,
    recorded: Timestamp,
    record: Record,
}

impl Event {
    #[inline]
    pub(crate) fn new(
        place: Arc<Place>,
        sequence: Sequence,
        position: Position,
        recorded: Timestamp,
        record: Record,
    ) -> Self {
        Self { place, sequence, position, recorded, record }
    }

    /// The session.
    #[must_use]
    #[inline]
    pub fn session(&self) -> &SessionId {
        &self.place.session
    }

    /// The branch that recorded it. An inherited event that is read through a fork still names its own branch.
    #[must_use]
    #[inline]
    pub fn branch(&self) -> &BranchName {
        &self.place.branch
    }

    /// Session and branch.
    #[must_use]
    #[inline]
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Session, branch and sequence.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from((*self.place).clone()).at(self.sequence)
    }

    /// Its sequence in its branch.
    #[must_use]
    #[inline]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Its position in the store's global order.
    #[must_use]
    #[inline]
    pub fn position(&self) -> Position {
        self.position
    }

    /// When the store recorded it, by the clock of the machine that wrote it.
    #[must_use]
    #[inline]
    pub fn recorded(&self) -> Timestamp {
        self.recorded
    }

    /// The event without its place.
    #[must_use]
    #[inline]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Deserializes the JSON payload.
    ///
    /// # Errors
    /// [`Invalid`] with the field `data` if it is not JSON, or does not have that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        serde_json::from_slice(self.payload()).map_err(|e| {
            Invalid::new("data", format!("of {} does not have the expected shape: {e}", self.address()))
        })
    }
}

impl Deref for Event {
    type Target = Record;
    #[inline]
    fn deref(&self) -> &Record {
        &self.record
    }
}
