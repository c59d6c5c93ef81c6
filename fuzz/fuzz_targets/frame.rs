//! Any bytes are a frame, a branch row or a meta row, or are refused, also behind a right checksum.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::codec::{BranchRow, Frame, Meta, decode_record};

/// What follows a right checksum: without this no input would come further than the seal.
fn sealed(format: u8, seed: u64, body: &[u8]) -> Bytes {
    let mut bytes = vec![format];
    bytes.extend(xxhash_rust::xxh3::xxh3_64_with_seed(body, seed).to_le_bytes());
    bytes.extend(body);
    bytes.into()
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Frame::decode(&Bytes::copy_from_slice(bytes));
    // Of the layout of the first two formats, and of that of the third.
    for (format, seed) in [(1, 1), (2, 0x81)] {
        let Ok(frame) = Frame::decode(&sealed(format, seed, bytes)) else { continue };
        let counted: u64 = frame.runs.iter().map(|run| u64::from(run.count)).sum();
        assert_eq!(counted, frame.events.len() as u64);
        for record in frame.events {
            let _ = decode_record(record);
        }
    }
    for (format, seed) in [(1, 4), (2, 0x84)] {
        if let Ok(row) = BranchRow::decode(0, &sealed(format, seed, bytes)) {
            assert_eq!(BranchRow::decode(0, &row.encode(0)), Ok(row));
        }
    }
    for (format, seed) in [(1, 6), (2, 0x86)] {
        if let Ok(row) = Meta::decode(&sealed(format, seed, bytes)) {
            assert!(row.format < 3 || Meta::decode(&row.encode()) == Ok(row));
        }
    }
});
