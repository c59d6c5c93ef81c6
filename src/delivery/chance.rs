use std::hash::{BuildHasher, RandomState};

/// A pseudo-random number from 0 up to 1; not for secrets.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
