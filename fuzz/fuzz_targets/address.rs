//! No text makes the parser of addresses panic, and what it takes is printed and parsed back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::Address;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address));
    }
});
