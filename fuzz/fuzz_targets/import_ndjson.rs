//! Any bytes are records of no known format, with its broken records counted.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::agents::interop::{Format, Options, parse};

fuzz_target!(|bytes: &[u8]| {
    let map = "session=/a,type=/b,time=/c,id=/d,causation=/e/*,actor=/f".parse().unwrap();
    let options = Options::default().format(Some(Format::Ndjson)).map(Some(map));
    let plan = parse("fuzzed.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap();
    assert_eq!(plan.records, plan.events() + plan.duplicates + plan.skipped.len());
});
