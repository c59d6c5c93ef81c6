//! What an index consists of. Everything else in its folder is left over.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::meta::SegmentMeta;
use super::unusable::Unusable;
use crate::event::StoreId;
use crate::limits::{MAX_SEARCH_SEGMENTS, SEARCH_GONE_KEPT};

/// How the file of a segment is called: what is called otherwise is not ours.
pub(super) fn is_segment(name: &str) -> bool {
    name.strip_suffix(SEGMENT).is_some_and(is_drawn)
}

/// The end of the name of a segment's file.
pub(super) const SEGMENT: &str = ".words";

/// Whether a part of a name was drawn for us.
pub(super) fn is_drawn(part: &str) -> bool {
    part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Whose index it is.
    pub(crate) store: StoreId,
    /// A hash of the secret of the store's file: a restored store has another.
    pub(crate) line: u64,
    /// Everything up to this position is in it that was there.
    pub(crate) reached: u64,
    /// How many events could not be read.
    pub(crate) unread: u64,
    /// Some positions at which nothing was any more. When something is there, the store is an earlier state of itself.
    pub(crate) gone: Vec<u64>,
    pub(crate) segments: Vec<SegmentMeta>,
}

impl Manifest {
    pub(crate) fn empty(store: StoreId, line: u64) -> Self {
        Self { store, line, reached: 0, unread: 0, gone: Vec::new(), segments: Vec::new() }
    }

    /// One line with a checksum, and one of JSON.
    pub(super) fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_string(self).unwrap_or_default();
        format!("{:016x}\n{body}\n", xxh3_64(body.as_bytes())).into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let damaged = || Unusable::new("its manifest is damaged");
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (sum, body) = text.split_once('\n').ok_or_else(damaged)?;
        let body = body.trim_end();
        if u64::from_str_radix(sum, 16).ok() != Some(xxh3_64(body.as_bytes())) {
            return Err(damaged());
        }
        let manifest: Self = serde_json::from_str(body).map_err(|_| damaged())?;
        if manifest.is_sound() { Ok(manifest) } else { Err(damaged()) }
    }

    /// Whether somebody can have written it who wrote no nonsense: it leads nowhere else, and is in order.
    fn is_sound(&self) -> bool {
        let mut after = 0;
        self.gone.len() <= SEARCH_GONE_KEPT
            && self.segments.len() <= MAX_SEARCH_SEGMENTS
            && self.segments.iter().all(|segment| {
                let is_next = after < segment.first && segment.first <= segment.last;
                after = segment.last;
                is_next && is_segment(&segment.name)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_a_damaged_one_does_not() {
        let mut manifest = Manifest::empty(crate::store::Store::in_memory().unwrap().id(), u64::MAX);
        manifest.gone = vec![1, u64::MAX];
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        for at in 0..bytes.len() - 1 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Manifest::decode(&damaged).is_err(), "{at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_manifest_that_leads_elsewhere_is_refused() {
        let segment = |name: &str, first: u64, last: u64| -> SegmentMeta {
            let meta = serde_json::json!({
                "name": name, "len": 1, "texts": 1, "words": 1, "first": first, "last": last, "mark": 1,
                "terms": [0, 0], "lengths": 0, "rows": 0,
            });
            serde_json::from_value(meta).unwrap()
        };
        let name = format!("{}.words", "0a".repeat(16));
        let store = crate::store::Store::in_memory().unwrap().id();
        let is_taken = |segments: Vec<SegmentMeta>, gone: usize| {
            let manifest = Manifest { segments, gone: vec![1; gone], ..Manifest::empty(store, 7) };
            Manifest::decode(&manifest.encode()).is_ok()
        };
        assert!(is_taken(vec![segment(&name, 1, 4), segment(&name, 5, 5)], SEARCH_GONE_KEPT));
        assert!(!is_taken(vec![], SEARCH_GONE_KEPT + 1));
        for name in ["../x.words", "manifest", "", ".words", &format!("{name}x")] {
            assert!(!is_taken(vec![segment(name, 1, 4)], 0), "{name}");
        }
        assert!(!is_taken(vec![segment(&name, 1, 4), segment(&name, 4, 5)], 0));
        assert!(!is_taken(vec![segment(&name, 4, 1)], 0));
    }
}
