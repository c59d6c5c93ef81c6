//! Corrects one flipped bit of a small row in memory, so that a single bit does not make a store unreadable. Under a
//! 64-bit checksum, one damaged row in about 2^54 is corrected wrongly.

use crate::codec::Malformed;

/// The bytes with one bit flipped back; `None` if that does not help.
pub(crate) fn mended<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, Malformed>) -> Option<T> {
    let mut tried = bytes.to_vec();
    (0..bytes.len() * 8).find_map(|bit| {
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        *tried.get_mut(at)? ^= mask;
        let found = decode(&tried).ok();
        *tried.get_mut(at)? ^= mask;
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{FileHeader, HEADER_BYTES, HeaderLayout};

    #[test]
    fn one_bit_is_put_right_and_two_are_not() {
        let layout = HeaderLayout::LastCommitFirst;
        let header = FileHeader { layout, journal: 12_288, tables: 16_384, secret: [9; 16] };
        let decode = |bytes: &[u8]| FileHeader::decode(bytes.try_into().unwrap());
        let right = header.encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = right;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(mended(&bytes, decode), Some(header), "bit {bit}");
            bytes[(bit / 8 + 3) % HEADER_BYTES] ^= 1;
            assert_eq!(mended(&bytes, decode), None, "bit {bit}");
        }
    }
}
