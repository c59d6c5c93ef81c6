use super::machine::Resolved;
use super::owner::Owner;
use crate::codec::DeadLetterRow;
use crate::error::{Error, Result};
use crate::event::{Address, Event, EventId, Position, Timestamp};
use crate::limits::MAX_LETTER_ERROR_BYTES;

/// A dead letter: a reference to an event that could not be handled, with what is known of the failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its owner.
    pub owner: Owner,
    /// The event's position; together with the owner it identifies the dead letter.
    pub position: Position,
    /// The event's address.
    pub at: Address,
    /// The event's id.
    pub id: EventId,
    /// The event's type, as it was recorded.
    pub kind: String,
    /// Why it could not be handled, cut at 1,024 bytes.
    pub error: String,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was first delivered.
    pub first: Timestamp,
    /// When it became a dead letter.
    pub last: Timestamp,
    /// It was replayed and waits for its owner; it remains a dead letter until it has been handled.
    pub again: bool,
}

impl DeadLetter {
    /// Of an event that was given up now.
    pub(super) fn of(owner: Owner, event: &Event, dead: &Resolved, error: String, now: Timestamp) -> Self {
        Self {
            owner,
            position: event.position(),
            at: event.address(),
            id: event.id(),
            kind: event.kind().to_owned(),
            error,
            deliveries: dead.deliveries,
            first: Timestamp::from_micros(dead.first),
            last: now,
            again: false,
        }
    }

    pub(super) fn to_row(&self) -> Vec<u8> {
        let row = DeadLetterRow {
            place: self.at.place().clone(),
            sequence: self.at.sequence().unwrap_or_default().get(),
            id: self.id,
            kind: self.kind.clone(),
            error: cut(&self.error).to_owned(),
            deliveries: self.deliveries,
            first: self.first.micros(),
            last: self.last.micros(),
        };
        row.encode()
    }

    pub(super) fn from_row(owner: Owner, position: u64, again: bool, row: &[u8]) -> Result<Self> {
        let row = DeadLetterRow::decode(row)
            .map_err(|e| Error::corrupt(format!("dead letter {position} of {owner}"), e.to_string()))?;
        Ok(Self {
            owner,
            position: Position::new(position),
            at: Address::from(row.place).at(row.sequence),
            id: row.id,
            kind: row.kind,
            error: row.error,
            deliveries: row.deliveries,
            first: Timestamp::from_micros(row.first),
            last: Timestamp::from_micros(row.last),
            again,
        })
    }
}

fn cut(error: &str) -> &str {
    error.get(..error.floor_char_boundary(MAX_LETTER_ERROR_BYTES)).unwrap_or(error)
}
