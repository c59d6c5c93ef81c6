//! Any bytes are a row of a timer or are refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::bus::parse_timer_row;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (key, value) = input;
    if let Ok(timer) = parse_timer_row(key, value) {
        assert_eq!(timer.id, timer.event.id());
        assert!(key.ends_with(timer.id.uuid().as_bytes()));
    }
});
