//! Any bytes between an owner and a client are frames and messages, or end the connection; and whatever a message says is taken
//! or refused.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use retold::codec::link::{LINK_HEADER, SentAnswer, SentAsk, SentGreeting, SentHello, SentNotice};
use retold::testkit::{exchange, frames};

fuzz_target!(|bytes: &[u8]| {
    // The same however they are cut.
    let whole = frames(bytes, usize::MAX);
    let cut = bytes.first().map_or(1, |first| usize::from(*first % 40) + 1);
    assert_eq!(frames(bytes, cut), whole);
    let bodies: Vec<Bytes> = whole.unwrap_or_default().into_iter().map(|(_, body)| body).collect();
    bodies.iter().for_each(|body| decode(body));
    decode(bytes);
    let _ = exchange(&bodies);
    let _ = exchange(&[Bytes::copy_from_slice(bytes)]);
});

fn decode(bytes: &[u8]) {
    let _ = SentHello::decode(bytes);
    let _ = SentGreeting::decode(bytes);
    let _ = SentNotice::decode(bytes);
    if let Ok(ask) = SentAsk::decode(bytes) {
        let again = ask.clone().message(1, 0);
        assert_eq!(SentAsk::decode(&again[LINK_HEADER..]), Ok(ask));
    }
    if let Ok(answer) = SentAnswer::decode(bytes) {
        let again = answer.clone().message(1, 0);
        assert_eq!(SentAnswer::decode(&again[LINK_HEADER..]), Ok(answer));
    }
}
