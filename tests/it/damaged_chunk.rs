//! A store with a chunk that can no longer be read. The tests of the program use this file too.

use std::path::Path;
use std::time::Duration;

use redb::ReadableDatabase;
use retold::{NewEvent, Store};

use crate::tables::Tables;

/// Four sessions of 1,000 events each, by turns, in chunks of 200.
pub(crate) fn written(path: &Path) {
    let settings = Store::builder().sync(false).flush_when_idle(Duration::from_secs(3_600));
    let store = settings.flush_after(usize::MAX, usize::MAX).open(path).unwrap();
    for n in 0..40 {
        let session = format!("s-{}", n % 4);
        let event = |i: u64| NewEvent::new("step.done").json_text((n * 100 + i).to_string());
        store.append(&*session, (0..100).map(event).collect::<Vec<_>>()).unwrap();
        if n % 8 == 7 {
            store.maintenance().flush().unwrap();
        }
    }
    store.close().unwrap();
}

/// Turns a bit of the chunk in the middle of a branch; answers where the chunk begins and ends.
pub(crate) fn damage(path: &Path, branch: u64) -> (u64, u64) {
    let table = redb::TableDefinition::<(u64, u64), &[u8]>::new("events");
    let tables = Tables::of(path);
    let (before, at, mut bytes) = {
        let txn = tables.db.begin_read().unwrap();
        let events = txn.open_table(table).unwrap();
        let mut chunks = events.range((branch, 0)..=(branch, u64::MAX)).unwrap().map(|row| {
            let (key, value) = row.unwrap();
            (key.value().1, value.value().to_vec())
        });
        let before = chunks.by_ref().find(|(last, _)| *last >= 300).unwrap().0;
        let (at, bytes) = chunks.next().unwrap();
        (before, at, bytes)
    };
    let middle = bytes.len() / 2;
    bytes[middle] ^= 8;
    let txn = tables.db.begin_write().unwrap();
    txn.open_table(table).unwrap().insert((branch, at), &*bytes).unwrap();
    txn.commit().unwrap();
    tables.put(path);
    (before + 1, at)
}
