//! Which commit was acknowledged last, kept outside the journal: a journal of which the last entries are lost ends like one
//! that was never longer. Written only once that commit is durable.

use xxhash_rust::xxh3::Xxh3;

/// Bytes of a record of the last commit.
pub const LAST_COMMIT_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"rtlast1\n";

/// A commit of the journal that was durable when this was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastCommit {
    /// Its number.
    pub number: u64,
    /// The checksum of its entry.
    pub chain: u64,
}

impl LastCommit {
    /// Its bytes, in a file with this secret.
    #[must_use]
    pub fn encode(self, secret: &[u8; 16]) -> [u8; LAST_COMMIT_BYTES] {
        let mut out = [0; LAST_COMMIT_BYTES];
        let sum = self.sum(secret);
        let words = [MAGIC, self.number.to_le_bytes(), self.chain.to_le_bytes(), sum.to_le_bytes()];
        for (place, word) in out.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word);
        }
        out
    }

    /// Reads the bytes; `None` when nothing was written there, or it was torn.
    #[must_use]
    pub fn decode(secret: &[u8; 16], bytes: &[u8; LAST_COMMIT_BYTES]) -> Option<Self> {
        let mut words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk::<8>().copied());
        let (magic, number, chain, sum) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let found = Self { number: u64::from_le_bytes(number), chain: u64::from_le_bytes(chain) };
        (magic == MAGIC && sum == found.sum(secret).to_le_bytes()).then_some(found)
    }

    fn sum(self, secret: &[u8; 16]) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(secret);
        hash.update(&MAGIC);
        hash.update(&self.number.to_le_bytes());
        hash.update(&self.chain.to_le_bytes());
        hash.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_commit_is_read_back_and_any_flip_refuses_it() {
        let last = LastCommit { number: 260, chain: u64::MAX - 1 };
        let bytes = last.encode(&[3; 16]);
        assert_eq!(LastCommit::decode(&[3; 16], &bytes), Some(last));
        assert_eq!(LastCommit::decode(&[4; 16], &bytes), None);
        assert_eq!(LastCommit::decode(&[3; 16], &[0; LAST_COMMIT_BYTES]), None);
        for bit in 0..LAST_COMMIT_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LastCommit::decode(&[3; 16], &flipped), None, "bit {bit}");
        }
    }
}
