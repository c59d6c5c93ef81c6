//! No line makes the parser of `append --ndjson` panic, nor the guess of a file's format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::agents::interop::{Format, parse_line};

fuzz_target!(|bytes: &[u8]| {
    let _ = Format::detect("fuzzed", bytes);
    if let Ok(line) = std::str::from_utf8(bytes) {
        let _ = parse_line(line, None);
    }
});
