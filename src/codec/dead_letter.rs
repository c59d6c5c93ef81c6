//! The row of a dead letter: an event by reference, and how handling it failed.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::wire::{put, take_all};
use crate::event::{BranchName, EventId, Place, SessionId};

/// The first byte of every dead letter. A later layout uses another number.
const LAYOUT: u8 = 1;

/// The body of a dead letter; its owner and the event's position are in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// The event's branch.
    pub place: Place,
    /// Its sequence there.
    pub sequence: u64,
    /// Its id.
    pub id: EventId,
    /// Its type, as it was recorded.
    pub kind: String,
    /// Why it was set aside.
    pub error: String,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was first delivered, in microseconds since the epoch.
    pub first: i64,
    /// When it was set aside, in microseconds since the epoch.
    pub last: i64,
}

#[derive(Encode, BorrowDecode)]
struct Wire<'a> {
    layout: u8,
    session: &'a str,
    branch: &'a str,
    sequence: u64,
    id: [u8; 16],
    kind: &'a str,
    error: &'a str,
    deliveries: u32,
    first: i64,
    last: i64,
}

impl DeadLetterRow {
    /// The row's bytes, the body of a sidecar record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.error.len());
        let wire = Wire {
            layout: LAYOUT,
            session: self.place.session.as_str(),
            branch: self.place.branch.as_str(),
            sequence: self.sequence,
            id: *self.id.bytes(),
            kind: &self.kind,
            error: &self.error,
            deliveries: self.deliveries,
            first: self.first,
            last: self.last,
        };
        put(wire, &mut out);
        out
    }

    /// Reads a row's bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`DeadLetterRow::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: Wire<'_> = take_all(bytes)?;
        if wire.layout != LAYOUT {
            return Err(Malformed::new("its layout is unknown"));
        }
        let named = |_| Malformed::new("it holds a name that is not one");
        Ok(Self {
            place: Place::new(
                SessionId::new(wire.session).map_err(named)?,
                BranchName::new(wire.branch).map_err(named)?,
            ),
            sequence: wire.sequence,
            id: EventId::from_bytes(wire.id),
            kind: wire.kind.to_owned(),
            error: wire.error.to_owned(),
            deliveries: wire.deliveries,
            first: wire.first,
            last: wire.last,
        })
    }
}
