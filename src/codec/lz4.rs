//! Unpacking a body that may be damaged, or made up, behind a right checksum.
//!
//! The decoder is the one of `lz4_flex` that has unsafe code: replay is 1.3 times as fast as with the other, whose speed
//! also depends on how the compiler happens to divide this crate. It checks every bound; a test compares it with a plain
//! decoder over damaged blocks.

use bytes::Bytes;

use super::Malformed;
use super::wire::take;

/// An LZ4 block expands at most by this factor.
const GROWTH: usize = 255;

/// A length, then one LZ4 block, as `lz4_flex` packs it. The claimed length is checked against what the block can
/// expand to, and against the largest allowed one, before anything is allocated for it.
pub(super) fn unpack(mut packed: &[u8], most: usize) -> Result<Bytes, Malformed> {
    let len: u32 = take(&mut packed)?;
    let len = len as usize;
    if len > packed.len().saturating_mul(GROWTH) || len > most {
        return Err(Malformed::new("it claims more than it can hold"));
    }
    let body = lz4_flex::block::decompress(packed, len)
        .map_err(|_| Malformed::new("its packed body cannot be unpacked"))?;
    if body.len() == len {
        Ok(body.into())
    } else {
        Err(Malformed::new("its packed body is shorter than it says"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::put;
    use super::*;

    /// A block as <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md> describes it, one byte after the other.
    fn plain(mut block: &[u8], most: usize) -> Option<Vec<u8>> {
        fn byte(block: &mut &[u8]) -> Option<usize> {
            let (first, rest) = block.split_first()?;
            *block = rest;
            Some(usize::from(*first))
        }
        fn length(block: &mut &[u8], nibble: usize) -> Option<usize> {
            if nibble < 15 {
                return Some(nibble);
            }
            let mut len = nibble;
            loop {
                let more = byte(block)?;
                len += more;
                if more < 255 {
                    return Some(len);
                }
            }
        }
        let mut out = Vec::new();
        loop {
            let token = byte(&mut block)?;
            let literals = length(&mut block, token >> 4)?;
            let (copied, rest) = block.split_at_checked(literals)?;
            out.extend_from_slice(copied);
            block = rest;
            if out.len() > most {
                return None;
            }
            if block.is_empty() {
                return Some(out);
            }
            let back = byte(&mut block)? | byte(&mut block)? << 8;
            let len = 4 + length(&mut block, token & 15)?;
            let from = out.len().checked_sub(back)?;
            if back == 0 || out.len() + len > most {
                return None;
            }
            (0..len).for_each(|n| out.push(out[from + n]));
        }
    }

    fn with_length(len: usize, block: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        put(len as u32, &mut packed);
        packed.extend_from_slice(block);
        packed
    }

    /// Bytes with repetitions near and far, as bodies have them.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::collection::vec((0..4usize, 0..40usize, any::<u8>()), 0..80);
        words.prop_map(|words| {
            let mut body = Vec::new();
            for (kind, len, byte) in words {
                match kind {
                    0 => body.extend(std::iter::repeat_n(byte, len)),
                    1 => {
                        let backward: Vec<u8> = body.iter().rev().take(len).copied().collect();
                        body.extend(backward);
                    }
                    2 => body.extend_from_within(body.len().saturating_sub(len)..),
                    _ => body.extend((0..len).map(|n| byte.wrapping_mul(n as u8))),
                }
            }
            body
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_was_packed_is_unpacked(body in body()) {
            let packed = with_length(body.len(), &lz4_flex::block::compress(&body));
            prop_assert_eq!(&*unpack(&packed, 1 << 20).unwrap(), &body[..]);
        }

        #[test]
        fn a_damaged_block_is_refused_or_is_what_a_plain_decoder_makes_of_it(
            body in body(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            claimed in prop::option::of(0..4_000usize),
        ) {
            let mut block = lz4_flex::block::compress(&body);
            damage.iter().for_each(|(at, with)| { let at = at.index(block.len()); block[at] = *with; });
            if let Some(cut) = cut {
                block.truncate(cut.index(block.len()));
            }
            let claimed = claimed.unwrap_or(body.len());
            if let Ok(unpacked) = unpack(&with_length(claimed, &block), 1 << 20) {
                prop_assert_eq!(Some(unpacked.to_vec()), plain(&block, claimed));
            }
        }

        #[test]
        fn so_is_a_block_that_was_never_packed(
            block in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0x1f), Just(0xff)], 0..80),
            claimed in 0..20_000usize,
        ) {
            if let Ok(unpacked) = unpack(&with_length(claimed, &block), 1 << 20) {
                prop_assert_eq!(Some(unpacked.to_vec()), plain(&block, claimed));
            }
        }
    }
}
