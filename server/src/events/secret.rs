//! What seals cursors: known to this process only.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use retold::EventId;
use sha2::{Digest, Sha256};

/// The secret.
pub(super) fn secret() -> &'static [u8; 32] {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    SECRET.get_or_init(|| {
        let mut hash = Sha256::new();
        for _ in 0..4 {
            hash.update(EventId::new().uuid().as_bytes());
            hash.update(RandomState::new().hash_one(0).to_be_bytes());
        }
        hash.finalize().into()
    })
}
