//! fjall 3 at its default settings, with group commit: a batch for every group, `PersistMode::SyncData`.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Peer, Take};
use crate::event::{Draft, Envelope};
use crate::group::{Entry, Group, Sink};

fn key(session: u64, sequence: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&session.to_be_bytes());
    key[8..].copy_from_slice(&sequence.to_be_bytes());
    key
}

fn sequence_of(key: &[u8]) -> u64 {
    u64::from_be_bytes(key[8..].try_into().unwrap())
}

fn head(rows: &Keyspace, session: u64) -> u64 {
    let last = rows.range(key(session, 0)..=key(session, u64::MAX)).next_back();
    last.map_or(0, |guard| sequence_of(&guard.key().unwrap()))
}

struct Writer {
    db: Database,
    rows: Keyspace,
}

impl Sink<Vec<u8>> for Writer {
    fn head(&mut self, session: u64) -> u64 {
        head(&self.rows, session)
    }

    fn write(&mut self, rows: &mut Vec<Entry<Vec<u8>>>) {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for entry in rows {
            batch.insert(&self.rows, key(entry.session, entry.sequence), entry.row.as_slice());
        }
        batch.commit().unwrap();
    }
}

pub struct Grouped {
    group: Group<Vec<u8>>,
    rows: Keyspace,
    _db: Database,
}

impl Grouped {
    pub fn open(dir: &Path) -> Self {
        let db = Database::builder(dir.join("peer.fjall")).open().unwrap();
        let rows = db.keyspace("events", KeyspaceCreateOptions::default).unwrap();
        Self { group: Group::new(Writer { db: db.clone(), rows: rows.clone() }), rows, _db: db }
    }

    fn read(&self, session: u64, from: u64, take: Take<'_>) {
        for guard in self.rows.range(key(session, from)..=key(session, u64::MAX)) {
            take(Envelope::decode(&guard.value().unwrap()));
        }
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
        head(&self.rows, session)
    }

    fn replay(&self, session: u64, take: Take<'_>) {
        self.read(session, 0, take);
    }

    fn last(&self, session: u64, count: u64, take: Take<'_>) {
        let rows = self.rows.range(key(session, 0)..=key(session, u64::MAX));
        for guard in rows.rev().take(count as usize) {
            take(Envelope::decode(&guard.value().unwrap()));
        }
    }

    fn after(&self, session: u64, sequence: u64, take: Take<'_>) {
        self.read(session, sequence + 1, take);
    }
}
