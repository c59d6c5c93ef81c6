//! Any text is a cursor or is refused, and a cursor is printed and parsed back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::Cursor;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
    }
});
