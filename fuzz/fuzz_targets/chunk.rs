//! Any bytes are a chunk or are refused, also behind a right checksum.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::codec::{Chunk, decode_record};

/// What follows a right checksum: without this no input would come further than the seal.
fn sealed(sort: u64, body: &[u8]) -> Bytes {
    let mut bytes = vec![1];
    bytes.extend(xxhash_rust::xxh3::xxh3_64_with_seed(body, sort).to_le_bytes());
    bytes.extend(body);
    bytes.into()
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Chunk::decode(bytes);
    let Ok(chunk) = Chunk::decode(&sealed(2, bytes)) else { return };
    assert!(chunk.entries().map(|e| e.0).is_sorted_by(|a, b| a < b), "positions increase");
    assert!(chunk.entry(chunk.first()).is_some() && chunk.entry(chunk.last()).is_some());
    assert!(chunk.last().checked_add(1).is_none_or(|n| chunk.entry(n).is_none()));
    for (_, _, record) in chunk.entries() {
        let _ = decode_record(record.clone());
    }
});
