//! The first page of a store's file: what it is, and where its parts begin.

use xxhash_rust::xxh3::xxh3_64;

use super::Malformed;
use crate::limits::{FILE_HEADER_BYTES, LAST_COMMIT_PAGES_BYTES, MAX_JOURNAL_BYTES};

/// The first bytes of every store file.
pub const MAGIC: [u8; 8] = *b"retold\x1a\n";
/// Bytes of the header that are in use.
pub const HEADER_BYTES: usize = 56;

/// How the parts of a file are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderLayout {
    /// The journal right behind the header: format 2.
    JournalFirst = 1,
    /// Between them, two pages for the last commit: format 3.
    LastCommitFirst = 2,
}

impl HeaderLayout {
    fn numbered(number: u64) -> Option<Self> {
        [Self::JournalFirst, Self::LastCommitFirst].into_iter().find(|layout| *layout as u64 == number)
    }
}

/// Where the parts of the file lie, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Which parts there are.
    pub layout: HeaderLayout,
    /// Where the journal begins.
    pub journal: u64,
    /// Where the tables begin, right after the journal.
    pub tables: u64,
    /// Random and never shown, so that no payload can be crafted to look like an entry of the journal.
    pub secret: [u8; 16],
}

impl FileHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        [self.layout as u64, self.journal, self.tables]
            .iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.extend_from_slice(&self.secret);
        let sum = xxh3_64(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        out.copy_from_slice(&bytes);
        out
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`Malformed`] for anything that [`FileHeader::encode`] does not write.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Malformed> {
        let (checked, sum) = bytes.split_at(HEADER_BYTES - 8);
        let mut words =
            checked.chunks_exact(8).map(|w| w.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)));
        let mut next = || words.next().unwrap_or_default();
        if next().to_le_bytes() != MAGIC {
            return Err(Malformed::new("it does not begin as a store does"));
        }
        if xxh3_64(checked).to_le_bytes() != sum {
            return Err(Malformed::new("the checksum of its header is wrong"));
        }
        let (layout, journal, tables) = (next(), next(), next());
        let Some(layout) = HeaderLayout::numbered(layout) else { return Err(UNKNOWN) };
        let room = tables.checked_sub(journal).filter(|room| *room <= MAX_JOURNAL_BYTES);
        let least = match layout {
            HeaderLayout::JournalFirst => HEADER_BYTES as u64,
            HeaderLayout::LastCommitFirst => FILE_HEADER_BYTES + LAST_COMMIT_PAGES_BYTES,
        };
        if journal < least || tables % 4_096 != 0 || room.is_none() {
            return Err(Malformed::new("its parts lie where they cannot"));
        }
        let mut secret = [0; 16];
        secret.copy_from_slice(checked.get(32..48).unwrap_or(&[0; 16]));
        Ok(Self { layout, journal, tables, secret })
    }
}

const UNKNOWN: Malformed =
    Malformed::new("the layout of its parts is unknown to this release; a newer one may read it");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_flip_refuses_it() {
        let layout = HeaderLayout::LastCommitFirst;
        let header = FileHeader { layout, journal: 12_288, tables: 16_384, secret: [9; 16] };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
