//! Any bytes are a frame or are refused, also behind a right checksum.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::codec::{Frame, decode_record};

/// What follows a right checksum: without this no input would come further than the seal.
fn sealed(sort: u64, body: &[u8]) -> Bytes {
    let mut bytes = vec![1];
    bytes.extend(xxhash_rust::xxh3::xxh3_64_with_seed(body, sort).to_le_bytes());
    bytes.extend(body);
    bytes.into()
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Frame::decode(&Bytes::copy_from_slice(bytes));
    let Ok(frame) = Frame::decode(&sealed(1, bytes)) else { return };
    let counted: u64 = frame.runs.iter().map(|run| u64::from(run.count)).sum();
    assert_eq!(counted, frame.records.len() as u64);
    for record in frame.records {
        let _ = decode_record(record);
    }
});
