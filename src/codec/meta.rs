//! What a store says of itself, and what a cursor carries.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::seal::{self, Sort};
use super::wire::{put, take_all};

/// The store format that this release writes.
pub const FORMAT: u32 = 2;

/// What the tables hold, counted as it is settled: the journal's part is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Counts {
    /// Branches that were not forked: one for every session.
    pub sessions: u64,
    /// All branches.
    pub branches: u64,
    /// Bytes of all payloads, as they were appended.
    pub payload_bytes: u64,
}

impl Counts {
    /// With one more branch.
    pub fn add_branch(&mut self, forked: bool) {
        self.branches = self.branches.saturating_add(1);
        self.sessions = self.sessions.saturating_add(u64::from(!forked));
    }

    /// With one more event.
    pub fn add_event(&mut self, payload_bytes: usize) {
        self.payload_bytes = self.payload_bytes.saturating_add(payload_bytes as u64);
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
    pub settled: u64,
    /// The number that the next branch gets.
    pub next_branch: u64,
    /// What is settled; zero, and not to be trusted, in a row of format 1.
    pub counts: Counts,
}

/// The row as format 1 had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
struct Meta1 {
    format: u32,
    store: [u8; 16],
    created: i64,
    settled: u64,
    next_branch: u64,
}

impl Meta {
    /// The row's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = seal::open(72);
        put(self, &mut out);
        seal::close(Sort::Meta, out)
    }

    /// The row's bytes as format 1 wrote them, for the tests that hold its decoder to them.
    #[cfg(test)]
    pub(super) fn encode_1(self) -> Vec<u8> {
        let Self { store, created, settled, next_branch, .. } = self;
        let mut out = seal::open(48);
        put(Meta1 { format: 1, store, created, settled, next_branch }, &mut out);
        seal::close(Sort::Meta, out)
    }

    /// The format of a store, whichever release wrote it.
    ///
    /// # Errors
    /// [`Malformed`] when the checksum is wrong or nothing is there.
    pub fn format(bytes: &[u8]) -> Result<u32, Malformed> {
        super::wire::take(&mut seal::unseal(Sort::Meta, bytes)?)
    }

    /// Reads the row, of this format or of an earlier one: [`Meta::format`] says which.
    ///
    /// # Errors
    /// [`Malformed`] for anything that no release up to this one writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let body = seal::unseal(Sort::Meta, bytes)?;
        match Self::format(bytes)? {
            1 => {
                let Meta1 { format, store, created, settled, next_branch } = take_all(body)?;
                Ok(Self { format, store, created, settled, next_branch, counts: Counts::default() })
            }
            FORMAT => take_all(body),
            _ => Err(Malformed::new("it has a store format that there is not")),
        }
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
