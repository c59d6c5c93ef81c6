//! Seals: values that whoever carries them can neither read nor change, such as a place among events that they may not read.
//!
//! A seal is a tag, which is a keyed hash of the value, and the value under a stream of hashes of that tag. A random number
//! in front of the value is hidden with it, so two seals of one value don't look alike either.

use data_encoding::BASE64URL_NOPAD;
use retold::EventId;
use sha2::{Digest, Sha256};

/// Bytes of the random number.
const NONCE: usize = 8;
/// Bytes of the tag.
const TAG: usize = 16;

/// Makes seals, and opens those of the same secret for the same purpose.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    key: Sha256,
}

impl Seal {
    /// With this secret, for what these parts say.
    pub(super) fn new(secret: &[u8], purpose: &[&[u8]]) -> Self {
        let mut key = Sha256::new_with_prefix(secret);
        for part in purpose {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        Self { key }
    }

    /// The seal of a value. It tells how long that is.
    pub(super) fn seal(&self, value: &[u8]) -> String {
        // Its last bytes are random.
        let nonce = EventId::new().uuid().into_bytes();
        let mut sealed: Vec<u8> = nonce.into_iter().rev().take(NONCE).chain(value.iter().copied()).collect();
        let tag = self.tag(&sealed);
        self.hide(&tag, &mut sealed);
        BASE64URL_NOPAD.encode(&[&tag[..], &sealed].concat())
    }

    /// The value of a seal; nothing if it is none of these.
    pub(super) fn open(&self, seal: &str) -> Option<Vec<u8>> {
        let sealed = BASE64URL_NOPAD.decode(seal.as_bytes()).ok()?;
        let (tag, sealed) = sealed.split_at_checked(TAG)?;
        let mut value = sealed.to_vec();
        self.hide(tag, &mut value);
        let differs = self.tag(&value).iter().zip(tag).fold(0, |all, (one, other)| all | (one ^ other));
        // The same time whatever differs.
        let is_ours = std::hint::black_box(differs) == 0 && value.len() >= NONCE;
        is_ours.then(|| value.split_off(NONCE))
    }

    fn tag(&self, value: &[u8]) -> [u8; TAG] {
        let hash = self.key.clone().chain_update(b"tag").chain_update(value).finalize();
        let mut tag = [0; TAG];
        tag.iter_mut().zip(hash).for_each(|(to, byte)| *to = byte);
        tag
    }

    /// Done twice, it undoes itself.
    fn hide(&self, tag: &[u8], bytes: &mut [u8]) {
        for (number, block) in bytes.chunks_mut(32).enumerate() {
            let pad = self.key.clone().chain_update(b"pad").chain_update(tag);
            let pad = pad.chain_update((number as u64).to_be_bytes()).finalize();
            block.iter_mut().zip(pad).for_each(|(byte, with)| *byte ^= with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_opened_by_its_maker_for_its_purpose() {
        let seal = Seal::new(b"secret", &[b"a", b"bc"]);
        for value in [&b""[..], b"x", &[7; 100]] {
            let sealed = seal.seal(value);
            assert_eq!(seal.open(&sealed).unwrap(), value);
            for other in [
                Seal::new(b"other", &[b"a", b"bc"]),
                Seal::new(b"secret", &[b"ab", b"c"]),
                Seal::new(b"secret", &[b"a"]),
            ] {
                assert_eq!(other.open(&sealed), None);
            }
        }
    }

    #[test]
    fn a_changed_seal_is_none() {
        let seal = Seal::new(b"secret", &[]);
        let good = seal.seal(&[1; 40]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            let other = if bad.as_bytes()[at] == b'A' { "B" } else { "A" };
            bad.replace_range(at..=at, other);
            assert_eq!(seal.open(&bad), None, "{bad}");
        }
        for bad in ["", "é", "A", &good[..20], &good[..good.len() - 4], &format!("{good}AAAA")] {
            assert_eq!(seal.open(bad), None, "{bad}");
        }
    }

    #[test]
    fn seals_of_one_value_do_not_look_alike() {
        let seal = Seal::new(b"secret", &[]);
        let seals = [(); 50].map(|()| BASE64URL_NOPAD.decode(seal.seal(b"1234").as_bytes()).unwrap());
        for (number, one) in seals.iter().enumerate() {
            for other in &seals[..number] {
                assert_ne!(one[..TAG], other[..TAG]);
                assert_ne!(one[TAG..], other[TAG..]);
            }
        }
    }
}
