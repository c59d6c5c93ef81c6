//! Any bytes are a chat of Gemini CLI, with its broken records counted.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::agents::interop::{Format, Options, parse};

fuzz_target!(|bytes: &[u8]| {
    let options = Options::default().format(Some(Format::GeminiCli));
    let plan = parse("fuzzed.jsonl", &Bytes::copy_from_slice(bytes), &options).unwrap();
    assert_eq!(plan.records, plan.events() + plan.duplicates + plan.skipped.len());
});
