//! Sidecar records that are in the journal and not in the tables yet: the last word on each.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::engine::sidecar::SidecarTable;

/// What commits have made of some records: `None` for one that was removed.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

#[derive(Debug, Default)]
pub(crate) struct RecordLayer {
    tables: BTreeMap<SidecarTable, Changes>,
    count: usize,
    bytes: usize,
}

impl RecordLayer {
    pub(crate) fn put(&mut self, table: SidecarTable, key: Bytes, value: Option<Bytes>) {
        let size = |key: &Bytes, value: &Option<Bytes>| key.len() + value.as_ref().map_or(0, Bytes::len);
        let added = size(&key, &value);
        let changes = self.tables.entry(table).or_default();
        match changes.get_mut(&key) {
            Some(old) => {
                self.bytes -= size(&key, old);
                *old = value;
            }
            None => {
                self.count += 1;
                changes.insert(key, value);
            }
        }
        self.bytes += added;
    }

    /// What has become of a record, if it was changed; `None` within for one that was removed.
    pub(crate) fn get(&self, table: SidecarTable, key: &[u8]) -> Option<Option<&Bytes>> {
        self.tables.get(&table)?.get(key).map(Option::as_ref)
    }

    /// The changes of a table between two keys.
    pub(crate) fn between(
        &self,
        table: SidecarTable,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        self.tables.get(&table).into_iter().flat_map(move |changes| changes.range::<[u8], _>(range))
    }

    /// All changes, in the order of tables and keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SidecarTable, &Bytes, Option<&Bytes>)> {
        let tables = self.tables.iter();
        tables.flat_map(|(table, changes)| changes.iter().map(|(key, value)| (*table, key, value.as_ref())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many records it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_record_counts_and_only_its_bytes() {
        let mut layer = RecordLayer::default();
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        for (key, value) in [("a", Some("12345")), ("b", Some("1")), ("a", Some("1")), ("b", None)] {
            layer.put(SidecarTable::Timers, bytes(key), value.map(bytes));
        }
        assert_eq!((layer.count(), layer.bytes()), (2, 3));
        assert_eq!(layer.get(SidecarTable::Timers, b"a"), Some(Some(&bytes("1"))));
        assert_eq!(layer.get(SidecarTable::Timers, b"b"), Some(None));
        assert_eq!(layer.get(SidecarTable::Timers, b"c"), None);
        assert_eq!(layer.get(SidecarTable::Consumers, b"a"), None);
        let from = (Bound::Excluded(&b"a"[..]), Bound::Unbounded);
        assert_eq!(layer.between(SidecarTable::Timers, from).count(), 1);
        assert_eq!(layer.iter().count(), 2);
    }
}
