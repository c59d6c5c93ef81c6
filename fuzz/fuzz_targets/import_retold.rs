//! Any bytes are read as our own lines, or their records are reported as broken. Records that only say where a branch
//! begins are no events, so the sum may fall short by those.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::agents::interop::{Format, Options, parse};

fuzz_target!(|bytes: &[u8]| {
    let options = Options::default().format(Some(Format::Retold));
    let plan = parse("fuzzed.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap();
    assert!(plan.events() + plan.duplicates + plan.skipped.len() <= plan.records);
});
