//! What a store says of itself, and what a cursor carries.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::seal::{self, Sort};
use super::wire::{put, take_all};

/// The store format that this release writes.
pub const FORMAT: u32 = 2;

/// What a store holds, counted.
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
    /// With one more branch.
    pub fn add_branch(&mut self, forked: bool) {
        self.branches = self.branches.saturating_add(1);
        self.sessions = self.sessions.saturating_add(u64::from(!forked));
    }

    /// With one more event.
    pub fn add_event(&mut self, payload_bytes: usize) {
        self.payload_bytes = self.payload_bytes.saturating_add(payload_bytes as u64);
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            branches: self.branches.saturating_add(other.branches),
            payload_bytes: self.payload_bytes.saturating_add(other.payload_bytes),
        }
    }
}

/// The one row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Meta {
    /// Store format. Stands first: a later layout keeps it there, so that an older release can name it.
    pub format: u32,
    /// The store's id.
    pub store: [u8; 16],
    /// When it was made, in microseconds since the epoch.
    pub created: i64,
    /// The last position that is in the tables; later ones are in the journal.
    pub flushed: u64,
    /// The number that the next branch gets.
    pub next_branch: u64,
    /// Where the journal goes on.
    pub journal: JournalMark,
    /// What the tables hold: the journal's part is not in it.
    pub counts: StoreCounts,
}

/// A place in the journal, between two entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct JournalMark {
    /// Offset in the region of the journal; the entry after it may also begin a new round, at 0.
    pub at: u64,
    /// Number of the commit after it.
    pub next: u64,
    /// Checksum of the entry before it.
    pub chain: u64,
}

impl Meta {
    /// The row's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = seal::open(48);
        put(self, &mut out);
        seal::close(Sort::Meta, out)
    }

    /// The format of a store, whichever release wrote it.
    ///
    /// # Errors
    /// [`Malformed`] when the checksum is wrong or nothing is there.
    pub fn format(bytes: &[u8]) -> Result<u32, Malformed> {
        super::wire::take(&mut seal::unseal(Sort::Meta, bytes)?)
    }

    /// Reads the row.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`Meta::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(Sort::Meta, bytes)?)
    }
}

/// The row of `meta` as the first format has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct OldMeta {
    /// Store format: 1.
    pub format: u32,
    /// The store's id.
    pub store: [u8; 16],
    /// When it was made, in microseconds since the epoch.
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
        take_all(seal::unseal(Sort::Meta, bytes)?)
    }
}

impl From<OldMeta> for Meta {
    /// The same store, before its journal begins; nothing is counted.
    fn from(old: OldMeta) -> Self {
        let OldMeta { format, store, created, flushed, next_branch } = old;
        let journal = JournalMark { at: 0, next: 1, chain: 0 };
        Self { format, store, created, flushed, next_branch, journal, counts: StoreCounts::default() }
    }
}

/// What a cursor says, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct CursorParts {
    /// The store's id.
    pub store: [u8; 16],
    /// Number of the branch for a reader of one branch: a branch made again has another.
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
        seal::close(Sort::Cursor, out)
    }

    /// Reads a cursor's bytes.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`CursorParts::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        take_all(seal::unseal(Sort::Cursor, bytes)?)
    }
}
