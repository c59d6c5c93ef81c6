//! Any bytes are a line of a spill or are refused; one that is taken is printed and read back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::bus::{parse_spill_line, print_spill_line};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((place, event)) = parse_spill_line(bytes) {
        let line = print_spill_line(&place, &event).expect("what was taken can be printed");
        assert!(!line.contains(&b'\n'));
        let (again, same) = parse_spill_line(&line).expect("what was printed can be read");
        assert_eq!((again, same.id()), (place.clone(), event.id()));
        assert_eq!(print_spill_line(&place, &same).expect("it can be printed again"), line);
    }
});
