//! Any bytes are a record or are refused; a record answers every question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::codec::decode_record;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = decode_record(bytes.to_vec().into()) else { return };
    let texts = [record.source(), record.actor(), record.correlation(), record.trace()];
    assert!(texts.iter().flatten().all(|t| t.len() <= bytes.len()));
    assert!(record.kind().len() + record.payload().len() <= bytes.len());
    assert_eq!(record.payload_bytes(), record.payload());
    for (key, value) in record.metadata() {
        assert_eq!(record.meta(key), Some(value));
    }
});
