//! Any bytes are a consumer's header, the record of a branch, a dead letter and a token, or are refused; what is taken is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use retold::codec::{ConsumerRow, DeadLetterRow, LaneRow};
use retold::{Place, Token};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((row, _)) = ConsumerRow::decode(bytes) {
        assert_eq!(ConsumerRow::decode(&row.encode()), Ok((row, Vec::new())));
    }
    let place = Place::new("run".try_into().unwrap(), "main".try_into().unwrap());
    if let Ok(row) = LaneRow::decode(place.clone(), bytes) {
        assert_eq!(LaneRow::decode(place, &row.encode()), Ok(row));
    }
    if let Ok(row) = DeadLetterRow::decode(bytes) {
        assert_eq!(DeadLetterRow::decode(&row.encode()), Ok(row));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(token) = text.parse::<Token>()
    {
        assert_eq!(token.to_string().parse::<Token>(), Ok(token));
    }
});
