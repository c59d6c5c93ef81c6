//! The `meta` row of a store, and the contents of a cursor.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::seal::{self, SealKind};
use super::wire::{put, take_all};

/// The store format that this release writes.
pub const FORMAT: u32 = 2;

/// Counts of what a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct StoreCounts {
    /// Branches that were not forked: one for every session.
    pub sessions: u64,
    /// All branches.
    pub branches: u64,
    /// Bytes of all payloads, as they were appended.
    pub payload_bytes: u64,
}

impl StoreCounts {
    /// Counts one more branch.
    pub fn add_branch(&mut self, forked: bool) {
        self.branches = self.branches.saturating_add(1);
        self.sessions = self.sessions.saturating_add(u64::from(!forked));
    }

    /// Counts one more event.
    pub fn add_event(&mut self, payload_bytes: usize) {
        self.payload_bytes = self.payload_bytes.saturating_add(payload_bytes as u64);
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            branches: self.branches.saturating_add(other.branches),
            payload_bytes: self.payload_bytes.saturating_add(other.payload_bytes),
        }
    }
}

/// The only row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Meta {
    /// Store format. It comes first in every layout, so that an older release can name it.
    pub format: u32,
    /// The store's id.
    pub store: [u8; 16],
    /// When it was created, in microseconds since the epoch.
    pub created: i64,
    /// The last position that is in the tables; later ones are in the journal.
    pub flushed: u64,
    /// The number that the next branch gets.
    pub next_branch: u64,
    /// Where the journal continues.
    pub journal: JournalMark,
    /// What the tables hold, without what is only in the journal.
    pub counts: StoreCounts,
}

/// A point in the journal, between two entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct JournalMark {
    /// Offset in the journal's region; the next entry may also start a new lap at 0.
    pub at: u64,
    /// Number of the next commit.
    pub next: u64,
    /// Checksum of the previous entry.
    pub chain: u64,
}

impl Meta {
    /// The row's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = seal::open(48);
        put(self, &mut out);
        seal::close(SealKind::Meta, out)
    }

    /// The format of a store that any release may have written.
    ///
    /// # Errors
    /// [`Malformed`] when the checksum is wrong or the row is empty.
    pub fn format(bytes: &[u8]) -> Result<u32, Malformed> {
        super::wire::take(&mut seal::unseal(SealKind::Meta, bytes)?)
    }

    /// Reads the row.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`Meta::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(SealKind::Meta, bytes)?)
    }
}

/// The row of `meta` in the first format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct OldMeta {
    /// Store format: 1.
    pub format: u32,
    /// The store's id.
    pub store: [u8; 16],
    /// When it was created, in microseconds since the epoch.
    pub created: i64,
    /// The last position that is in the tables.
    pub flushed: u64,
    /// The number that the next branch gets.
    pub next_branch: u64,
}

impl OldMeta {
    /// Reads the row.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(SealKind::Meta, bytes)?)
    }
}

impl From<OldMeta> for Meta {
    /// The first format has neither a journal region nor counts: both start empty.
    fn from(old: OldMeta) -> Self {
        let OldMeta { format, store, created, flushed, next_branch } = old;
        let journal = JournalMark { at: 0, next: 1, chain: 0 };
        Self { format, store, created, flushed, next_branch, journal, counts: StoreCounts::default() }
    }
}

/// The contents of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct CursorParts {
    /// The store's id.
    pub store: [u8; 16],
    /// Number of the branch, for a reader of one branch: a branch created again under the same name has another.
    pub branch: Option<u64>,
    /// The last sequence or position that was scanned.
    pub scanned: u64,
}

impl CursorParts {
    /// The cursor's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = seal::open(35);
        put(self, &mut out);
        seal::close(SealKind::Cursor, out)
    }

    /// Reads a cursor's bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`CursorParts::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(SealKind::Cursor, bytes)?)
    }
}
