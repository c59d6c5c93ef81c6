//! Reading files of the first format, which are a redb database alone.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use redb::{ReadTransaction, TableDefinition};
use tracing::warn;

use crate::codec::{Chunk, StoreCounts, decode_record};
use crate::engine::file::redb_errors::corrupt;
use crate::engine::file::tables::definitions::{BRANCHES, EVENTS, LINES};
use crate::engine::file::tables::lookup;
use crate::error::Result;
use crate::event::MAIN;

/// The first bytes of a redb file, and of a store of the first format.
const REDB_MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// Commit number to frame, in the first format.
pub(crate) const JOURNAL: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("journal");
/// Whether the file is redb's alone, without our header: a store of the first format, or another program's.
pub(crate) fn is_bare(mut file: &File) -> io::Result<bool> {
    let mut head = Vec::with_capacity(REDB_MAGIC.len());
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(REDB_MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == REDB_MAGIC)
}

/// Counts of what the tables hold and the meta row does not: everything in the first format, nothing in later ones.
pub(crate) fn uncounted(txn: &ReadTransaction, format: u32) -> Result<StoreCounts> {
    if format == 1 { count(txn) } else { Ok(StoreCounts::default()) }
}

/// Counts what the tables hold, since the first format does not. Damaged rows do not count: one bad chunk is no
/// reason to refuse the store, and `verify` reports it.
fn count(txn: &ReadTransaction) -> Result<StoreCounts> {
    let mut counts =
        StoreCounts { branches: lookup::len(&lookup::open(txn, LINES)?)?, ..StoreCounts::default() };
    for row in lookup::rows(&lookup::open(txn, BRANCHES)?, ("", "")..)? {
        let (names, _) = row?;
        counts.sessions += u64::from(names.value().1 == MAIN);
    }
    for row in lookup::rows(&lookup::open(txn, EVENTS)?, (0, 0)..)? {
        let (key, value) = row?;
        let chunk = match Chunk::decode(value.value()) {
            Ok(chunk) => chunk,
            Err(error) => {
                warn!(key = ?key.value(), %error, "a chunk is corrupt and was not counted");
                continue;
            }
        };
        for (_, _, record) in chunk.entries() {
            if let Ok(record) = decode_record(record) {
                counts.add_event(record.payload().len());
            }
        }
    }
    Ok(counts)
}

/// The frames of the old journal.
pub(crate) fn frames(old: &ReadTransaction) -> Result<Vec<(u64, Bytes)>> {
    let table = lookup::open(old, JOURNAL)?;
    let mut frames = Vec::new();
    for row in lookup::rows(&table, 0..)? {
        let (commit, frame) = row?;
        let expected = frames.len() as u64 + 1;
        if commit.value() != expected {
            return Err(corrupt(format!("commit {expected} of the journal"), "it is missing"));
        }
        frames.push((commit.value(), Bytes::copy_from_slice(frame.value())));
    }
    Ok(frames)
}
