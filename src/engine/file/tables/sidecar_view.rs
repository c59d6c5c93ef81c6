//! The sidecar tables: writing changes to them, and reading them as they stand at one moment.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use redb::TableDefinition;

use super::db::WriteTxn;
use super::definitions::{
    APPLICATIONS, CHECKPOINTS, CONSUMERS, CURRENT, DEAD_LETTERS, IMPORTS, LEASES, SCHEMAS, SNAPSHOTS, TIMERS,
};
use super::lookup;
use super::opened::Snapshot;
use crate::codec::{decode_sidecar_row, encode_sidecar_row};
use crate::engine::file::record_layer::Changes;
use crate::engine::file::redb_errors::malformed;
use crate::engine::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::Result;

pub(crate) fn table_of(sidecar: SidecarTable) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    match sidecar {
        SidecarTable::Snapshots => SNAPSHOTS,
        SidecarTable::Checkpoints => CHECKPOINTS,
        SidecarTable::Consumers => CONSUMERS,
        SidecarTable::DeadLetters => DEAD_LETTERS,
        SidecarTable::Timers => TIMERS,
        SidecarTable::Schemas => SCHEMAS,
        SidecarTable::Current => CURRENT,
        SidecarTable::Imports => IMPORTS,
        SidecarTable::Leases => LEASES,
        SidecarTable::Applications => APPLICATIONS,
    }
}

/// Writes records, in the order of tables and keys. Says how many rows each of the tables has then.
pub(crate) fn write_sidecar<'r>(
    txn: &WriteTxn,
    rows: impl Iterator<Item = (SidecarTable, &'r [u8], Option<&'r [u8]>)>,
) -> Result<Vec<(&'static str, u64)>> {
    let mut rows = rows.peekable();
    let mut counts = Vec::new();
    while let Some((sidecar, _, _)) = rows.peek() {
        let sidecar = *sidecar;
        let mut table = txn.open(table_of(sidecar))?;
        while let Some((_, key, value)) = rows.next_if(|(s, _, _)| *s == sidecar) {
            match value {
                Some(value) => {
                    let row = encode_sidecar_row(sidecar.number(), key, value);
                    table.insert_in_order(key, row.as_slice())?;
                }
                None => table.remove(key)?,
            }
        }
        counts.push((sidecar.name(), table.len()?));
    }
    Ok(counts)
}

/// The sidecar records in the tables, as they were at one moment.
#[derive(Clone, Debug)]
pub(crate) struct SidecarView(Arc<Snapshot>);

/// From and to.
pub(crate) type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys that a range asks for.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    from: Bound<&'a [u8]>,
    to: Option<&'a [u8]>,
    /// The first key after the prefix.
    end: Option<Vec<u8>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn of(rows: &SidecarRange<'a>) -> Self {
        let from = match rows.after {
            Some(after) if after >= rows.prefix => Bound::Excluded(after),
            _ => Bound::Included(rows.prefix),
        };
        Self { from, to: rows.to, end: end_of(rows.prefix) }
    }

    /// Its bounds; `None` when nothing lies between them.
    pub(crate) fn bounds(&self) -> Option<KeyBounds<'_>> {
        let to = match (self.to, &self.end) {
            (Some(to), Some(end)) if to >= end.as_slice() => Bound::Excluded(end.as_slice()),
            (Some(to), _) => Bound::Included(to),
            (None, Some(end)) => Bound::Excluded(end.as_slice()),
            (None, None) => Bound::Unbounded,
        };
        (!is_nothing(self.from, to)).then_some((self.from, to))
    }
}

impl SidecarView {
    pub(crate) fn of(txn: Arc<Snapshot>) -> Self {
        Self(txn)
    }

    pub(crate) fn get(&self, sidecar: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(table) = self.table(sidecar)? else { return Ok(None) };
        if let Some(row) = lookup::get(&table, key)? {
            return open_row(sidecar, key, row.value()).map(Some);
        }
        if sidecar.is_needed() {
            for (key, value) in lookup::neighbours(&table, key)? {
                open_row(sidecar, key.value(), value.value())?;
            }
        }
        Ok(None)
    }

    /// Rows between the bounds of their [`Keys`], in order or in reverse; with what has become of them since, which the caller
    /// knows.
    pub(crate) fn rows(
        &self,
        sidecar: SidecarTable,
        rows: &SidecarRange<'_>,
        (from, to): KeyBounds<'_>,
        changes: &Changes,
    ) -> Result<Vec<SidecarRecord>> {
        let Some(table) = self.table(sidecar)? else {
            return Ok(merged(std::iter::empty(), changes, rows.reverse).take(rows.limit).collect());
        };
        let mut range = lookup::rows::<_, _, _, &[u8]>(&table, (from, to))?;
        let stored = std::iter::from_fn(|| {
            let row = if rows.reverse { range.next_back() } else { range.next() }?;
            Some(row.map(|(key, value)| {
                let key = key.value().to_vec();
                let value = open_row(sidecar, &key, value.value());
                SidecarRecord { key, value }
            }))
        });
        let mut failed = None;
        let stored = stored.map_while(|row| row.map_err(|e| failed = Some(e)).ok());
        let found: Vec<_> = merged(stored, changes, rows.reverse).take(rows.limit).collect();
        if let Some(error) = failed {
            return Err(error);
        }
        if sidecar.is_needed() {
            // A row with a damaged key may lie beside its range; its checksum is then wrong.
            for (key, value) in lookup::around::<_, _, _, &[u8]>(&table, (from, to), 1)? {
                open_row(sidecar, key.value(), value.value())?;
            }
        }
        Ok(found)
    }

    /// `None` in a store that never had a record of this kind.
    fn table(
        &self,
        sidecar: SidecarTable,
    ) -> Result<Option<redb::ReadOnlyTable<&'static [u8], &'static [u8]>>> {
        lookup::open_if_made(&self.0, table_of(sidecar))
    }

    /// Checks that every record is what its key promises and is found by it, and reports each that is not.
    pub(crate) fn verify(
        &self,
        sidecar: SidecarTable,
        problem: &mut dyn FnMut(String, String),
    ) -> Result<()> {
        let Some(table) = self.table(sidecar)? else { return Ok(()) };
        let mut rows = 0;
        for row in lookup::rows::<_, _, _, &[u8]>(&table, ..)? {
            let (key, value) = row?;
            rows += 1;
            let place = || format!("row {} of {}", printed(key.value()), sidecar.name());
            if let Err(e) = decode_sidecar_row(sidecar.number(), key.value(), value.value()) {
                problem(place(), e.to_string());
            }
            if lookup::get(&table, key.value())?.is_none() {
                problem(place(), "looking it up leads to another place".into());
            }
        }
        // redb keeps the count apart from the rows.
        let counted = lookup::len(&table)?;
        if counted != rows {
            let reason = format!("it has {rows} rows, but its row count is {counted}");
            problem(format!("table {}", sidecar.name()), reason);
        }
        Ok(())
    }
}

/// Rows of the tables with what has become of them since. Both are in the order of their keys, or in reverse.
fn merged<'a>(
    stored: impl Iterator<Item = SidecarRecord> + 'a,
    changes: &'a Changes,
    reverse: bool,
) -> impl Iterator<Item = SidecarRecord> + 'a {
    let mut stored = stored.peekable();
    let mut changes = changes.iter();
    let mut next = move || if reverse { changes.next_back() } else { changes.next() };
    let mut change = next();
    std::iter::from_fn(move || {
        loop {
            let Some((key, value)) = change else { return stored.next() };
            let order = stored.peek().map(|row| match reverse {
                true => key.as_ref().cmp(row.key.as_slice()),
                false => row.key.as_slice().cmp(key.as_ref()),
            });
            match order {
                Some(Ordering::Less) => return stored.next(),
                Some(Ordering::Equal) => drop(stored.next()),
                Some(Ordering::Greater) | None => {}
            }
            change = next();
            if let Some(value) = value {
                return Some(SidecarRecord { key: key.to_vec(), value: Ok(value.to_vec()) });
            }
        }
    })
}

fn open_row(sidecar: SidecarTable, key: &[u8], row: &[u8]) -> Result<Vec<u8>> {
    let place = || format!("row {} of {}", printed(key), sidecar.name());
    decode_sidecar_row(sidecar.number(), key, row).map(<[u8]>::to_vec).map_err(|e| malformed(place())(e))
}

fn printed(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// The first key after all that begin with a prefix; `None` when there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// redb panics on a range that ends before it begins.
fn is_nothing(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sidecar::SidecarWrites;
    use crate::error::Error;
    use crate::event::{Expect, NewEvent};
    use crate::store::{Batch, Records, Store};

    fn keys(view: &Records, rows: &SidecarRange<'_>) -> Vec<String> {
        let found = view.rows(SidecarTable::Timers, rows).unwrap();
        found.into_iter().map(|m| String::from_utf8(m.key).unwrap()).collect()
    }

    fn records(rows: &[(&str, &str)]) -> SidecarWrites {
        let mut records = SidecarWrites::new();
        for (key, value) in rows {
            records.put(SidecarTable::Timers, key.as_bytes().to_vec(), value.as_bytes().to_vec());
        }
        records
    }

    #[test]
    fn rows_are_read_by_prefix_in_both_directions_between_two_keys() {
        let store = Store::builder().with_backend(Box::new(redb::backends::InMemoryBackend::new())).unwrap();
        let none = store.reader().unwrap().records();
        assert_eq!(keys(&none, &SidecarRange::under(b"", 9)), [""; 0]);
        store
            .write_records(records(&[("a", "1"), ("ba", "2"), ("bb", "3"), ("bc", "4"), ("c", "5")]))
            .unwrap();
        // Each call reads its own moment.
        assert_eq!(keys(&none, &SidecarRange::under(b"", 9)).len(), 5);
        let view = store.reader().unwrap().records();
        let all = SidecarRange::under(b"b", 9);
        assert_eq!(keys(&view, &all), ["ba", "bb", "bc"]);
        assert_eq!(keys(&view, &SidecarRange { reverse: true, limit: 2, ..all.clone() }), ["bc", "bb"]);
        assert_eq!(keys(&view, &SidecarRange { after: Some(b"ba"), to: Some(b"bb"), ..all.clone() }), ["bb"]);
        assert_eq!(
            keys(&view, &SidecarRange { to: Some(b"bb"), reverse: true, ..all.clone() }),
            ["bb", "ba"]
        );
        assert_eq!(
            keys(&view, &SidecarRange { after: Some(b"bc"), to: Some(b"bb"), ..all.clone() }),
            [""; 0]
        );
        assert_eq!(keys(&view, &SidecarRange { prefix: b"\xff", ..all }), [""; 0]);
        let mut records = SidecarWrites::new();
        records.remove(SidecarTable::Timers, b"bb".to_vec());
        store.write_records(records).unwrap();
        let view = store.reader().unwrap().records();
        assert_eq!(view.get(SidecarTable::Timers, b"ba").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(view.get(SidecarTable::Timers, b"bb").unwrap(), None);
        assert_eq!(view.get(SidecarTable::DeadLetters, b"ba").unwrap(), None);
        assert!(store.maintenance().verify().unwrap().is_clean());
    }

    #[test]
    fn sidecar_records_go_with_an_append_or_not_at_all_and_have_no_position() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.redb");
        let store = Store::open(&path).unwrap();
        let event = NewEvent::new("a.b");
        let batch = |expect, key: &str| {
            Batch::new().add("s", expect, event.clone()).unwrap().records(records(&[(key, "x")]))
        };
        store.append_batch(batch(Expect::Empty, "first")).unwrap();
        let refused = Batch::new().add("s", Expect::Empty, NewEvent::new("a.b")).unwrap();
        let refused = store.append_batch(refused.records(records(&[("refused", "x")])));
        assert!(matches!(refused, Err(Error::Conflict { .. })));
        assert!(store.append_batch(batch(Expect::Empty, "retry")).unwrap().duplicate());
        store.write_records(records(&[("alone", "x")]).relaxed()).unwrap();
        assert_eq!(store.committed().get(), 1);
        store.append("s", NewEvent::new("a.b")).unwrap();
        store.close().unwrap();
        let store = Store::builder().read_only().open(&path).unwrap();
        let view = store.reader().unwrap().records();
        assert_eq!(keys(&view, &SidecarRange::under(b"", 9)), ["alone", "first", "retry"]);
        assert!(matches!(store.write_records(records(&[("late", "x")])), Err(Error::ReadOnly { .. })));
        assert!(store.maintenance().verify().unwrap().is_clean());
    }
}
