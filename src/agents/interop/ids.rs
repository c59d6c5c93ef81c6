//! Ids that are derived from the source, so that the same record always has the same id.

use std::collections::HashMap;

use uuid::Uuid;

use crate::event::EventId;

/// One namespace per format: equal names in two formats are two events. They must never change, or a second import of
/// an old file would add everything again.
const fn namespace(n: u8) -> Uuid {
    Uuid::from_u128(0x72_65_74_6f_6c_64_8a_5e_9b_01_69_6e_74_65_00_00 | n as u128)
}

pub(crate) const NAMES: Uuid = namespace(1);
pub(crate) const VARIANT: Uuid = namespace(2);
pub(crate) const RETOLD: Uuid = namespace(3);
pub(crate) const CLOUD_EVENTS: Uuid = namespace(4);
pub(crate) const AIOS: Uuid = namespace(5);
pub(crate) const CLAUDE_CODE: Uuid = namespace(6);
pub(crate) const OPEN_HANDS: Uuid = namespace(7);
pub(crate) const TEMPORAL: Uuid = namespace(8);
pub(crate) const IMPORTS: Uuid = namespace(9);
pub(crate) const CODEX: Uuid = namespace(10);
pub(crate) const GEMINI_CLI: Uuid = namespace(11);
pub(crate) const CLAUDE_STREAM: Uuid = namespace(12);
pub(crate) const PI: Uuid = namespace(13);
pub(crate) const COPILOT_CLI: Uuid = namespace(14);
pub(crate) const AG_UI: Uuid = namespace(15);
pub(crate) const NDJSON: Uuid = namespace(16);
/// Traces and spans of exported sessions.
pub(crate) const SPANS: Uuid = namespace(17);

/// The id derived from these parts. Each part is hashed with its length: `["ab", "c"]` is not `["a", "bc"]`.
pub(crate) fn derived(namespace: Uuid, parts: &[&[u8]]) -> EventId {
    let mut name = Vec::with_capacity(parts.iter().map(|p| p.len() + 8).sum());
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part);
    }
    EventId::derived(namespace, &name)
}

/// The id of a record whose own id is taken by other content. It is derived from both, so that importing the same
/// file again finds it.
///
/// [`parse`](super::parse) uses it within a file. Whoever appends a plan uses it for an id that the store already has
/// with another payload.
#[must_use]
pub fn variant(id: EventId, payload: &[u8]) -> EventId {
    derived(VARIANT, &[id.bytes(), payload])
}

/// Tells records without ids apart that have the same content: a repeated id becomes another one.
#[derive(Debug, Default)]
pub(crate) struct Occurrences(HashMap<EventId, u64>);

impl Occurrences {
    pub(crate) fn next(&mut self, id: EventId) -> EventId {
        let n = self.0.entry(id).or_default();
        *n += 1;
        if *n == 1 { id } else { derived(VARIANT, &[id.bytes(), b"#", &n.to_be_bytes()]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(derived(NAMES, &[b"ab", b"c"]), derived(NAMES, &[b"a", b"bc"]));
        assert_ne!(derived(NAMES, &[b"a"]), derived(AIOS, &[b"a"]));
    }

    #[test]
    fn ids_are_the_same_in_every_release() {
        assert_eq!(CLAUDE_CODE.to_string(), "7265746f-6c64-8a5e-9b01-696e74650006");
        assert_eq!(derived(TEMPORAL, &[b"wf", b"1"]).to_string(), "d263e146-14e9-5e45-98ce-c61020832a5b");
        assert_eq!(
            variant(derived(TEMPORAL, &[b"wf", b"1"]), b"{}").to_string(),
            "90e29d03-e26a-54c4-ab1f-ca632b673bc0"
        );
    }
}
