//! The `meta` row of a store, and the contents of a cursor.

use bincode::{BorrowDecode, Encode};
use xxhash_rust::xxh3::xxh3_64;

use super::Malformed;
use super::extras::{Extras, Features};
use super::seal::{self, Layout, SealKind};
use super::wire::{Bounded, put, take, take_all};

/// The store format that this release writes.
pub const FORMAT: u32 = 3;

/// Tables that may be counted.
const MAX_TABLES: u32 = 256;

/// Counts of what a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
pub struct StoreCounts {
    /// Those of them that were not forked: one for every session.
    pub sessions: u64,
    /// All branches that are not deleted.
    pub branches: u64,
    /// Bytes of all payloads that were not removed, as they were appended.
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

    /// Counts one branch less.
    pub fn remove_branch(&mut self, forked: bool) {
        self.branches = self.branches.saturating_sub(1);
        self.sessions = self.sessions.saturating_sub(u64::from(!forked));
    }

    /// What is left without the other. What is removed may be counted before what was added: [`plus`](Self::plus) makes up for it.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.wrapping_sub(other.sessions),
            branches: self.branches.wrapping_sub(other.branches),
            payload_bytes: self.payload_bytes.wrapping_sub(other.payload_bytes),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.wrapping_add(other.sessions),
            branches: self.branches.wrapping_add(other.branches),
            payload_bytes: self.payload_bytes.wrapping_add(other.payload_bytes),
        }
    }
}

/// The only row of `meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Store format. It comes first in every layout, so that an older release can name it.
    pub format: u32,
    /// The store's id.
    pub store: [u8; 16],
    /// When it was created, in microseconds since the epoch.
    pub created: i64,
    /// What a release has to know to use it.
    pub features: Features,
    /// The last position that is in the tables; later ones are in the journal.
    pub flushed: u64,
    /// The number that the next branch gets.
    pub next_branch: u64,
    /// Where the journal continues.
    pub journal: JournalMark,
    /// What the tables hold, without what is only in the journal.
    pub counts: StoreCounts,
    /// How many rows each table has: its name and the number. A table that is not named has none, or has never been counted.
    pub tables: Vec<(String, u64)>,
    /// Fields that this release does not know.
    pub others: Extras,
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

/// The rows that are counted of one table, by its name.
type TableRows<'a> = Bounded<(&'a str, u64), MAX_TABLES>;

/// The meta row of the first format. Every later one begins with the same fields.
#[derive(Clone, Copy, Encode, BorrowDecode)]
struct FirstMeta {
    format: u32,
    store: [u8; 16],
    created: i64,
    flushed: u64,
    next_branch: u64,
}

/// What the second format has added.
#[derive(Clone, Copy, Encode, BorrowDecode)]
struct SecondMeta {
    journal: JournalMark,
    counts: StoreCounts,
}

impl Meta {
    /// The row of a store that was just created.
    #[must_use]
    pub fn new(store: [u8; 16], created: i64) -> Self {
        Self {
            format: FORMAT,
            store,
            created,
            features: Features::default(),
            flushed: 0,
            next_branch: 1,
            journal: JournalMark { at: 0, next: 1, chain: 0 },
            counts: StoreCounts::default(),
            tables: Vec::new(),
            others: Extras::default(),
        }
    }

    /// The row's bytes, in the layout of this release.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { format, store, created, flushed, next_branch, journal, counts, .. } = *self;
        let mut out = seal::open(160);
        put(FirstMeta { format, store, created, flushed, next_branch }, &mut out);
        put(SecondMeta { journal, counts }, &mut out);
        put(self.features, &mut out);
        let tables = self.tables.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
        put(Bounded::<_, MAX_TABLES>(tables), &mut out);
        put(self.others.wire(), &mut out);
        seal::close_as(Layout::Second, SealKind::Meta, 0, out)
    }

    /// The format of a store that any release may have written.
    ///
    /// # Errors
    /// [`Malformed`] when the checksum is wrong or the row is empty.
    pub fn format(bytes: &[u8]) -> Result<u32, Malformed> {
        super::wire::take(&mut seal::unseal_any(SealKind::Meta, 0, bytes)?.1)
    }

    /// Reads the row, of this format or an earlier one.
    ///
    /// # Errors
    /// [`Malformed`] for anything that no release up to this one writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (layout, mut body) = seal::unseal_any(SealKind::Meta, 0, bytes)?;
        let first: FirstMeta = take(&mut body)?;
        let due = match layout {
            Layout::First => 1..=2,
            Layout::Second => FORMAT..=FORMAT,
        };
        if !due.contains(&first.format) {
            return Err(Malformed::new("its format is not one that this release reads"));
        }
        let FirstMeta { format, store, created, flushed, next_branch } = first;
        let mut meta = Self { format, flushed, next_branch, ..Self::new(store, created) };
        if format >= 2 {
            SecondMeta { journal: meta.journal, counts: meta.counts } = take(&mut body)?;
        }
        if format >= 3 {
            meta.features = take(&mut body)?;
            let tables: TableRows<'_> = take(&mut body)?;
            meta.tables = tables.0.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
            meta.others = Extras::read(take(&mut body)?)?;
        }
        if body.is_empty() { Ok(meta) } else { Err(Malformed::new("bytes are left over")) }
    }

    /// Notes how many rows a table has.
    pub fn set_rows_of(&mut self, table: &str, rows: u64) {
        match self.tables.iter_mut().find(|(name, _)| name == table) {
            Some((_, count)) => *count = rows,
            None => self.tables.push((table.to_owned(), rows)),
        }
    }

    /// How many rows a table has, if it was counted.
    #[must_use]
    pub fn rows_of(&self, table: &str) -> Option<u64> {
        self.tables.iter().find(|(name, _)| name == table).map(|(_, rows)| *rows)
    }
}

/// The contents of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CursorParts {
    /// The store's id.
    pub store: [u8; 16],
    /// Number of the branch, for a reader of one branch: a branch created again under the same name has another.
    pub branch: Option<u64>,
    /// The last sequence or position that was scanned.
    pub scanned: u64,
    /// The [mark](event_mark) of the event there, if it is known: after a restore another event may be there.
    pub mark: Option<u64>,
}

/// What is always in a cursor. Without a mark there is no more, and it is laid out as it always was.
#[derive(Encode, BorrowDecode)]
struct FirstCursor {
    store: [u8; 16],
    branch: Option<u64>,
    scanned: u64,
}

/// By which an event is known again: a hash of its id.
#[must_use]
pub fn event_mark(id: &[u8; 16]) -> u64 {
    xxh3_64(id)
}

impl CursorParts {
    /// The cursor's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Self { store, branch, scanned, mark } = self;
        let mut out = seal::open(44);
        put(FirstCursor { store, branch, scanned }, &mut out);
        seal::close_marked(SealKind::Cursor, mark, out)
    }

    /// Reads a cursor's bytes, of this release or an earlier one.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`CursorParts::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mark, body) = seal::unseal_marked(SealKind::Cursor, bytes)?;
        let FirstCursor { store, branch, scanned } = take_all(body)?;
        Ok(Self { store, branch, scanned, mark })
    }
}
