//! The first page of a store's file: what it is, and where its parts begin.

use xxhash_rust::xxh3::xxh3_64;

use super::Malformed;

/// The first bytes of every store.
pub const MAGIC: [u8; 8] = *b"retold\x1a\n";
/// Bytes of the header that mean something.
pub const HEADER_BYTES: usize = 40;

const LAYOUT: u64 = 1;

/// Where the parts of the file lie, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Where the journal begins.
    pub journal: u64,
    /// Where the tables begin, right after the journal.
    pub tables: u64,
}

impl FileHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let words = [u64::from_le_bytes(MAGIC), LAYOUT, self.journal, self.tables];
        let sum = words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let words = words.into_iter().chain([xxh3_64(&sum)]);
        for (place, word) in out.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
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
        if layout != LAYOUT {
            return Err(Malformed::new("the layout of its parts is unknown to this release"));
        }
        if journal < HEADER_BYTES as u64 || tables < journal || tables % 4_096 != 0 || tables > 1 << 40 {
            return Err(Malformed::new("its parts lie where they cannot"));
        }
        Ok(Self { journal, tables })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_flip_refuses_it() {
        let header = FileHeader { journal: 4_096, tables: 12_288 };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
