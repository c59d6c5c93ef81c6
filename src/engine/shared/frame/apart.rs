//! The messages in given bytes, for a fuzzer.

use std::io::Read;

use bytes::Bytes;

use super::inbox::{Inbox, Incoming};
use crate::codec::Malformed;

/// The whole messages in these bytes, each with its call, when so many are read at once.
pub(crate) fn frames(bytes: &[u8], at_once: usize) -> Result<Vec<(u64, Bytes)>, Malformed> {
    let (mut inbox, mut messages) = (Inbox::default(), Vec::new());
    for mut piece in bytes.chunks(at_once.clamp(1, bytes.len().max(1))) {
        while !piece.is_empty() {
            // Reading from memory does not fail.
            let _ = inbox.read(|room| piece.read(room));
            loop {
                match inbox.next()? {
                    Incoming::Message { call, body } => messages.push((call, body)),
                    Incoming::Begins { .. } => {}
                    Incoming::More => break,
                }
            }
        }
    }
    Ok(messages)
}
