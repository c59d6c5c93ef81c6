//! Sidecar tables: small records that other modules keep beside the events, by table and key. How far a fold has read,
//! its snapshots, where consumers stand, dead letters, timers, schemas, current branches, and what applications keep.
//!
//! They are written by the one writer, alone or together with an append, in one commit. A commit that only writes records gives no position.

use std::collections::BTreeMap;

use super::durability::Durability;
use super::handle_id::HandleId;
use crate::error::Result;

/// Which sidecar table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SidecarTable {
    Snapshots,
    Checkpoints,
    Consumers,
    DeadLetters,
    Timers,
    Schemas,
    Current,
    Imports,
    Leases,
    Applications,
}

impl SidecarTable {
    pub(crate) const ALL: [Self; 10] = [
        Self::Snapshots,
        Self::Checkpoints,
        Self::Consumers,
        Self::DeadLetters,
        Self::Timers,
        Self::Schemas,
        Self::Current,
        Self::Imports,
        Self::Leases,
        Self::Applications,
    ];

    /// Mixed into the seal, so that a row is not read in another table.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The table with this number.
    pub(crate) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }

    /// Whether a row that is lost without a word changes an answer. States are folded again.
    pub(crate) fn is_needed(self) -> bool {
        self != Self::Snapshots
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Checkpoints => "checkpoints",
            Self::Consumers => "consumers",
            Self::DeadLetters => "letters",
            Self::Timers => "timers",
            Self::Schemas => "schemas",
            Self::Current => "current",
            Self::Imports => "imports",
            Self::Leases => "leases",
            Self::Applications => "applications",
        }
    }
}

/// Some of the sidecar tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SidecarTables(u16);

impl SidecarTables {
    pub(crate) fn all() -> Self {
        SidecarTable::ALL.into_iter().fold(Self::default(), Self::with)
    }

    fn with(self, table: SidecarTable) -> Self {
        Self(self.0 | 1 << table.number())
    }

    /// These and those.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// A bit for each of them.
    #[cfg(unix)]
    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    #[cfg(unix)]
    pub(crate) fn of_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(crate) fn has(self, table: SidecarTable) -> bool {
        self == self.with(table)
    }
}

/// What a record has to be for a commit to happen: `None` for one that is not there.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedRecord {
    pub(crate) table: SidecarTable,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Changes to sidecar records, made in one transaction. The last word on a key counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct SidecarWrites {
    /// Sorted, so that neighbours share their page when they are written.
    rows: BTreeMap<(SidecarTable, Vec<u8>), Option<Vec<u8>>>,
    expected: Vec<ExpectedRecord>,
    bytes: usize,
    relaxed: bool,
    by: HandleId,
}

impl SidecarWrites {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn put(&mut self, table: SidecarTable, key: Vec<u8>, value: Vec<u8>) {
        self.set(table, key, Some(value));
    }

    pub(crate) fn remove(&mut self, table: SidecarTable, key: Vec<u8>) {
        self.set(table, key, None);
    }

    /// The commit happens only while this record is what was read of it: `None` when it was not there. A commit whose
    /// values are all there already, those of the expected records among them, is a repetition of itself and is answered
    /// as the first time. For that, what is written says who wrote it: two writers never write the same. A removal
    /// says nothing of who made it, and is not recognised.
    pub(crate) fn expect(&mut self, table: SidecarTable, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.expected.push(ExpectedRecord { table, key, value });
    }

    /// Whether a repetition of it is recognised, and answered as the first time.
    #[cfg(unix)]
    pub(crate) fn is_recognised(&self) -> bool {
        let removes = |expected: &ExpectedRecord| {
            matches!(self.rows.get(&(expected.table, expected.key.clone())), Some(None))
        };
        !self.expected.is_empty() && !self.expected.iter().any(removes)
    }

    pub(crate) fn expected(&self) -> &[ExpectedRecord] {
        &self.expected
    }

    fn set(&mut self, table: SidecarTable, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.rows.insert((table, key), value);
    }

    /// Takes over the changes of another.
    pub(crate) fn extend(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rows.extend(other.rows);
        self.expected.extend(other.expected);
    }

    /// Answered before a sync: for what can be made again from the events. As
    /// [`Durability::Relaxed`](super::Durability::Relaxed): a crash takes the end, never a part.
    pub(crate) fn relaxed(mut self) -> Self {
        self.relaxed = true;
        self
    }

    /// Says which handle commits them.
    pub(crate) fn from(mut self, by: HandleId) -> Self {
        self.by = by;
        self
    }

    pub(crate) fn by(&self) -> HandleId {
        self.by
    }

    /// The tables in which something changes.
    pub(crate) fn tables(&self) -> SidecarTables {
        self.rows.keys().fold(SidecarTables::default(), |all, (table, _)| all.with(*table))
    }

    /// Whether it changes a record, and does not only expect some.
    pub(crate) fn changes(&self) -> bool {
        !self.rows.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.expected.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of all keys and values that were given.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn durability(&self) -> Durability {
        if self.relaxed { Durability::Relaxed } else { Durability::Durable }
    }

    /// Every change, sorted by table and key; `None` removes the row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (SidecarTable, &[u8], Option<&[u8]>)> {
        self.rows.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
    }
}

/// One record. What does not decode is said row by row: a snapshot can be done without, a consumer cannot.
#[derive(Debug)]
pub(crate) struct SidecarRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Result<Vec<u8>>,
}

/// Which records of a table: those whose key begins with a prefix, between two keys.
#[derive(Clone, Debug)]
pub(crate) struct SidecarRange<'a> {
    pub(crate) prefix: &'a [u8],
    /// Only keys after this one, when it is said.
    pub(crate) after: Option<&'a [u8]>,
    /// Only keys up to this one, when it is said.
    pub(crate) to: Option<&'a [u8]>,
    pub(crate) limit: usize,
    pub(crate) reverse: bool,
}

impl<'a> SidecarRange<'a> {
    /// The first rows under a prefix.
    pub(crate) fn under(prefix: &'a [u8], limit: usize) -> Self {
        Self { prefix, after: None, to: None, limit, reverse: false }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::error::Error;
    use crate::event::{Expect, NewEvent};
    use crate::store::{Batch, Store};
    use crate::testkit::{Cut, Disk};

    /// One of each engine, and the folder that one of them lies in.
    fn stores() -> ([Store; 2], tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = Store::builder().sync(false).open(folder.path().join("s.redb")).unwrap();
        ([file, Store::in_memory().unwrap()], folder)
    }

    fn key(key: &str) -> Vec<u8> {
        key.as_bytes().to_vec()
    }

    /// Puts a value where another is expected.
    fn swap(from: Option<&str>, to: Option<&str>) -> SidecarWrites {
        let mut records = SidecarWrites::new();
        records.expect(SidecarTable::Timers, key("k"), from.map(key));
        records.set(SidecarTable::Timers, key("k"), to.map(key));
        records
    }

    fn value(store: &Store) -> Option<String> {
        let row = store.reader().unwrap().records().get(SidecarTable::Timers, b"k").unwrap();
        row.map(|row| String::from_utf8(row).unwrap())
    }

    fn is_changed<T>(outcome: Result<T>) -> bool {
        matches!(outcome, Err(Error::RecordChanged { record }) if record == "record k of timers")
    }

    #[test]
    fn a_commit_happens_while_its_records_are_as_expected_and_once_it_did_it_may_be_repeated() {
        let (stores, _folder) = stores();
        for store in stores {
            assert!(is_changed(store.write_records(swap(Some("a"), Some("b")))));
            store.write_records(swap(None, Some("a"))).unwrap();
            store.write_records(swap(None, Some("a"))).unwrap();
            assert!(is_changed(store.write_records(swap(None, Some("b")))));
            store.write_records(swap(Some("a"), Some("b"))).unwrap();
            assert_eq!(value(&store).as_deref(), Some("b"));
            store.write_records(swap(Some("b"), None)).unwrap();
            // Nothing says who removed it.
            assert!(is_changed(store.write_records(swap(Some("b"), None))));
            assert_eq!(value(&store), None);
            // Only to look is allowed.
            let mut records = SidecarWrites::new();
            records.expect(SidecarTable::Timers, key("k"), None);
            store.write_records(records).unwrap();
        }
    }

    #[test]
    fn events_come_with_their_records_or_not_at_all() {
        let (stores, _folder) = stores();
        for store in stores {
            let event = NewEvent::new("a.b");
            let batch = |event: &NewEvent, records| {
                Batch::new().add("s", Expect::Any, event.clone()).unwrap().records(records)
            };
            assert!(is_changed(store.append_batch(batch(&event, swap(Some("x"), Some("y"))))));
            assert!(store.head("s").is_err());
            store.append_batch(batch(&event, swap(None, Some("x")))).unwrap();
            // The same again is the same; with other events it is another commit, which comes too late.
            assert!(store.append_batch(batch(&event, swap(None, Some("x")))).unwrap().duplicate());
            assert!(is_changed(store.append_batch(batch(&NewEvent::new("a.b"), swap(None, Some("x"))))));
            // A repetition that others have gone past does not undo them.
            store.write_records(swap(Some("x"), Some("y"))).unwrap();
            assert!(is_changed(store.append_batch(batch(&event, swap(None, Some("x"))))));
            assert_eq!((store.head("s").unwrap().get(), value(&store).as_deref()), (1, Some("y")));
        }
    }

    #[test]
    fn of_those_who_expect_the_same_in_one_group_one_is_first() {
        let (stores, _folder) = stores();
        for store in stores {
            let won = AtomicU32::new(0);
            for _ in 0..20 {
                let before = value(&store);
                won.store(0, Ordering::Relaxed);
                std::thread::scope(|threads| {
                    for n in 0..8 {
                        let (store, won, before) = (&store, &won, before.as_deref());
                        threads.spawn(move || {
                            let own = format!("{}/{n}", before.unwrap_or_default());
                            match store.write_records(swap(before, Some(&own))) {
                                Ok(()) => drop(won.fetch_add(1, Ordering::Relaxed)),
                                lost => assert!(is_changed(lost)),
                            }
                        });
                    }
                });
                assert_eq!(won.load(Ordering::Relaxed), 1);
            }
            assert!(store.maintenance().verify().unwrap().is_clean());
        }
    }

    #[test]
    fn an_expectation_of_a_record_that_is_not_written_is_never_taken_for_a_repetition() {
        let (stores, _folder) = stores();
        for store in stores {
            store.write_records(swap(None, Some("other"))).unwrap();
            let mut records = SidecarWrites::new();
            records.expect(SidecarTable::Timers, key("k"), Some(key("mine")));
            let looked = store.write_records(records);
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Timers, key("checkpoint"), key("5"));
            store.write_records(records).unwrap();
            let mut records = SidecarWrites::new();
            records.expect(SidecarTable::Timers, key("k"), Some(key("mine")));
            records.put(SidecarTable::Timers, key("checkpoint"), key("5"));
            let fenced = store.write_records(records);
            assert!(is_changed(looked) && is_changed(fenced));
        }
    }

    #[test]
    fn events_may_expect_a_record_that_they_leave_as_it_is() {
        let (stores, _folder) = stores();
        for store in stores {
            store.write_records(swap(None, Some("x"))).unwrap();
            store.maintenance().flush().unwrap();
            let event = NewEvent::new("a.b");
            let append = |expected: &str| {
                let mut records = SidecarWrites::new();
                records.expect(SidecarTable::Timers, key("k"), Some(key(expected)));
                let batch = Batch::new().add("s", Expect::Any, event.clone()).unwrap();
                store.append_batch(batch.records(records))
            };
            assert!(is_changed(append("y")) && store.head("s").is_err());
            assert!(!append("x").unwrap().duplicate());
            // Nothing is written beside the events, so they are journalled as others are.
            let info = store.maintenance().info().unwrap();
            assert_eq!(info.in_journal, u64::from(info.file_bytes.is_some()));
            assert!(append("x").unwrap().duplicate());
            store.write_records(swap(Some("x"), Some("y"))).unwrap();
            // It was recorded while that held, and has changed no record that could have been undone.
            assert!(append("x").unwrap().duplicate());
            assert!(append("y").unwrap().duplicate());
            assert_eq!(store.head("s").unwrap().get(), 1);
        }
    }

    #[test]
    fn records_that_have_to_be_durable_make_the_relaxed_events_beside_them_durable() {
        let disk = Disk::new();
        let hour = Duration::from_secs(3_600);
        let builder = Store::builder().flush_when_idle(hour).note_when_idle(hour);
        let store = builder.with_backend(disk.backend()).unwrap();
        let batch = Batch::new().add("s", Expect::Any, NewEvent::new("a.b")).unwrap();
        store.append_batch(batch.durability(Durability::Relaxed).records(swap(None, Some("x")))).unwrap();
        let left = disk.moment(disk.operations()).cut(&Cut::Nothing);
        let store = Store::builder().with_backend(Disk::from_bytes(left).backend()).unwrap();
        assert_eq!((store.committed().get(), value(&store).as_deref()), (1, Some("x")));
    }

    #[test]
    fn a_repetition_after_others_have_come_and_gone_writes_nothing() {
        let (stores, _folder) = stores();
        for store in stores {
            let event = NewEvent::new("a.b");
            let batch = |records| Batch::new().add("s", Expect::Any, event.clone()).unwrap().records(records);
            store.append_batch(batch(swap(None, Some("x")))).unwrap();
            store.write_records(swap(Some("x"), None)).unwrap();
            assert!(is_changed(store.append_batch(batch(swap(None, Some("x"))))));
            assert_eq!(value(&store), None);
        }
    }
}
