//! Figures of a file's contents.

use super::open::old::uncounted;
use super::read::file_reader::FileReader;
use super::redb_errors::guarded;
use super::tables::definitions::EVENTS;
use super::tables::lookup;
use crate::engine::report::Figures;
use crate::error::Result;

pub(crate) fn figures(reader: &FileReader, file_bytes: Option<u64>) -> Result<Figures> {
    guarded(|| {
        let (events, in_journal, counted) = {
            let tail = reader.contents.tail()?;
            (tail.committed(), tail.len() as u64, tail.counts())
        };
        let txn = reader.db.begin_read()?;
        let counts = counted.plus(uncounted(&txn, reader.contents.identity.format)?);
        Ok(Figures {
            sessions: counts.sessions,
            branches: counts.branches,
            events,
            in_journal,
            chunks: lookup::len(&lookup::open(&txn, EVENTS)?)?,
            payload_bytes: counts.payload_bytes,
            file_bytes,
        })
    })
}
