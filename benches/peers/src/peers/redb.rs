//! Raw redb at its default settings: one row an event, one-phase commits, with a transaction for every append or a
//! group commit.

use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition};

use super::{Peer, Take};
use crate::event::{Draft, Envelope};
use crate::group::{Entry, Group, Heads, Sink};

const ROWS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("rows");

fn create(dir: &Path) -> Arc<Database> {
    let db = Database::create(dir.join("peer.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap();
    txn.commit().unwrap();
    Arc::new(db)
}

fn insert(db: &Database, rows: &[Entry<Vec<u8>>]) {
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        for entry in rows {
            table.insert((entry.session, entry.sequence), entry.row.as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn begin(db: &Database) -> ReadTransaction {
    db.begin_read().unwrap()
}

fn head(db: &Database, session: u64) -> u64 {
    let table = begin(db).open_table(ROWS).unwrap();
    let last = table.range((session, 0)..=(session, u64::MAX)).unwrap().next_back();
    last.map_or(0, |row| row.unwrap().0.value().1)
}

fn range(db: &Database, session: u64, from: u64, take: Take<'_>) {
    let table = begin(db).open_table(ROWS).unwrap();
    for row in table.range((session, from)..=(session, u64::MAX)).unwrap() {
        take(Envelope::decode(row.unwrap().1.value()));
    }
}

fn last(db: &Database, session: u64, count: u64, take: Take<'_>) {
    let table = begin(db).open_table(ROWS).unwrap();
    for row in table.range((session, 0)..=(session, u64::MAX)).unwrap().rev().take(count as usize) {
        take(Envelope::decode(row.unwrap().1.value()));
    }
}

pub struct Own {
    db: Arc<Database>,
    heads: Mutex<Heads>,
}

impl Own {
    pub fn open(dir: &Path) -> Self {
        Self { db: create(dir), heads: Mutex::default() }
    }

    fn write(&self, session: u64, rows: impl IntoIterator<Item = Vec<u8>>) {
        // Held to the commit: redb has one writer at a time anyway, and sequences follow the commits.
        let mut heads = self.heads.lock().unwrap();
        let entries: Vec<_> = rows
            .into_iter()
            .map(|row| Entry { session, sequence: heads.next(session, |s| head(&self.db, s)), row })
            .collect();
        insert(&self.db, &entries);
    }
}

impl Peer for Own {
    fn append(&self, session: u64, draft: Draft) {
        self.write(session, [Envelope::stamp(&draft).encode()]);
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let rows: Vec<_> = drafts.iter().map(|draft| Envelope::stamp(draft).encode()).collect();
        self.write(session, rows);
    }

    fn head(&self, session: u64) -> u64 {
        head(&self.db, session)
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        range(&self.db, session, 0, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        last(&self.db, session, count, take);
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        range(&self.db, session, sequence + 1, take);
    }
}

struct Writer(Arc<Database>);

impl Sink<Vec<u8>> for Writer {
    fn head(&mut self, session: u64) -> u64 {
        head(&self.0, session)
    }

    fn write(&mut self, rows: &mut Vec<Entry<Vec<u8>>>) {
        // In the order of the keys, neighbours share a walk down the tree's pages.
        rows.sort_unstable_by_key(|entry| (entry.session, entry.sequence));
        insert(&self.0, rows);
    }
}

pub struct Grouped {
    db: Arc<Database>,
    group: Group<Vec<u8>>,
}

impl Grouped {
    pub fn open(dir: &Path) -> Self {
        let db = create(dir);
        Self { group: Group::new(Writer(db.clone())), db }
    }
}

impl Peer for Grouped {
    fn append(&self, session: u64, draft: Draft) {
        self.group.append(session, [Envelope::stamp(&draft).encode()]);
    }

    fn append_many(&self, session: u64, drafts: Vec<Draft>) {
        let rows: Vec<_> = drafts.iter().map(|draft| Envelope::stamp(draft).encode()).collect();
        self.group.append(session, rows);
    }

    fn head(&self, session: u64) -> u64 {
        head(&self.db, session)
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        range(&self.db, session, 0, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        last(&self.db, session, count, take);
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        range(&self.db, session, sequence + 1, take);
    }
}
