//! An entry of the journal: a header and a frame. The header holds the number of the commit and the checksum of the
//! previous entry, so that what an earlier lap or a lost commit left behind is never taken for the next entry.

use xxhash_rust::xxh3::Xxh3;

use crate::limits::JOURNAL_ALIGN;

/// Bytes of the header.
pub const ENTRY_HEADER: usize = 40;

const MAGIC: [u8; 4] = *b"rtj1";
const SYNCED: u32 = 1;
/// Bytes of the header that the checksum covers; it also covers the frame.
const CHECKED: usize = ENTRY_HEADER - size_of::<u64>();

/// The header of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// Number of the commit.
    pub number: u64,
    /// Checksum of the previous entry.
    pub previous: u64,
    /// Everything before it was durable when it was written.
    pub synced: bool,
    /// Length of the frame in bytes.
    pub len: usize,
    /// Checksum of this entry.
    pub sum: u64,
}

/// The size of an entry on disk, padding included.
#[must_use]
pub const fn entry_size(frame: usize) -> usize {
    (ENTRY_HEADER + frame).next_multiple_of(JOURNAL_ALIGN)
}

/// The bytes of an entry, and its checksum.
#[must_use]
pub fn encode_entry(
    secret: &[u8; 16],
    number: u64,
    previous: u64,
    synced: bool,
    frame: &[u8],
) -> (Vec<u8>, u64) {
    let mut out = Vec::with_capacity(entry_size(frame.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&u32::from(synced).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&previous.to_le_bytes());
    out.extend_from_slice(&(frame.len() as u64).to_le_bytes());
    let sum = checksum(secret, &out, frame);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(frame);
    out.resize(entry_size(frame.len()), 0);
    (out, sum)
}

fn checksum(secret: &[u8; 16], head: &[u8], frame: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(secret);
    hash.update(head);
    hash.update(frame);
    hash.digest()
}

/// The number that a possible entry claims, and whether it claims that everything before was durable. The checksum is
/// not verified.
#[must_use]
pub fn entry_claims(bytes: &[u8]) -> Option<(u64, bool)> {
    let number = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    let flags = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    bytes.starts_with(&MAGIC).then_some((number, flags & SYNCED != 0))
}

/// The header of the entry at the front of the bytes, if a complete one of this file is there.
#[must_use]
pub fn decode_entry(secret: &[u8; 16], bytes: &[u8]) -> Option<EntryHead> {
    let head = unproven_entry(bytes)?;
    let (checked, frame) = (bytes.get(..CHECKED)?, bytes.get(ENTRY_HEADER..ENTRY_HEADER + head.len)?);
    (checksum(secret, checked, frame) == head.sum).then_some(head)
}

/// The header of what looks like a complete entry. Nothing is verified.
#[must_use]
pub fn unproven_entry(bytes: &[u8]) -> Option<EntryHead> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let (head, rest) = bytes.split_at_checked(ENTRY_HEADER)?;
    let word = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let len = usize::try_from(word(24)?).ok().filter(|len| *len <= rest.len())?;
    let flags = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    Some(EntryHead {
        number: word(8)?,
        previous: word(16)?,
        synced: flags & SYNCED != 0,
        len,
        sum: word(CHECKED)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_and_any_flip_or_cut_refuses_it() {
        let store = [7; 16];
        let (bytes, sum) = encode_entry(&store, 3, 9, true, b"a frame");
        let head = decode_entry(&store, &bytes).unwrap();
        assert_eq!(head, EntryHead { number: 3, previous: 9, synced: true, len: 7, sum });
        assert_eq!(&bytes[ENTRY_HEADER..ENTRY_HEADER + head.len], b"a frame");
        assert_eq!(decode_entry(&[8; 16], &bytes), None);
        for bit in 0..(ENTRY_HEADER + 7) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_entry(&store, &flipped), None, "bit {bit}");
        }
        for len in 0..ENTRY_HEADER + 7 {
            assert_eq!(decode_entry(&store, &bytes[..len]), None, "cut at {len}");
        }
    }
}
