//! The commit that a client asks for, checked as if it had been made here.

use std::collections::HashSet;

use bytes::Bytes;

use super::changes::change_of;
use super::parts::place_of;
use super::problem::expect_of;
use crate::codec::link::{SentAppend, SentAsk, SentFork, SentPlace, SentWrites};
use crate::codec::{Malformed, decode_record};
use crate::engine::commit::{Commit, Prepared, PreparedFork, PreparedPart, check_forks};
use crate::engine::durability::Durability;
use crate::engine::handle_id::HandleId;
use crate::engine::sidecar::{SidecarTable, SidecarWrites};
use crate::error::{Error, Result};
use crate::event::{Invalid, NewEvent, Record, Sequence};
use crate::limits::MAX_BATCH_BYTES;

/// What the owner takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    /// The largest payload.
    pub(crate) payload_bytes: usize,
    /// What appends are at the least.
    pub(crate) least: Durability,
}

/// The commit in this message, whose bytes its records share; `None` if it asks for something else.
///
/// # Errors
/// What a [`Store`](crate::store::Store) would refuse before it queues it.
pub(crate) fn commit_of(message: &Bytes, ask: &SentAsk<'_>, takes: Takes) -> Option<Result<Commit>> {
    match ask {
        SentAsk::Append(append) => Some(append_of(message, append, takes).map(Commit::Append)),
        SentAsk::AppendForking(append, forks) => {
            let forking = append_of(message, append, takes)
                .and_then(|prepared| Ok(Prepared { forks: forks_of(&forks.0)?, ..prepared }));
            Some(forking.map(Commit::Append))
        }
        SentAsk::Fork(parent, at, place) => Some(fork_of(*parent, *at, *place)),
        SentAsk::Write(writes) => Some(writes_of(writes).map(Commit::Records)),
        SentAsk::Change(changes) => {
            let changes: Result<Vec<_>, _> = changes.0.iter().map(|change| change_of(*change)).collect();
            Some(changes.map(Commit::Change).map_err(malformed))
        }
        _ => None,
    }
}

fn malformed(e: Malformed) -> Error {
    Error::storage(format!("what the client sent cannot be read: {e}"))
}

fn fork_of(parent: SentPlace<'_>, at: Option<u64>, place: SentPlace<'_>) -> Result<Commit> {
    Ok(Commit::Fork {
        parent: place_of(parent).map_err(malformed)?,
        at: at.map(Sequence::new),
        place: place_of(place).map_err(malformed)?,
    })
}

fn forks_of(sent: &[SentFork<'_>]) -> Result<Vec<PreparedFork>> {
    check_forks(sent.len())?;
    let fork = |fork: &SentFork<'_>| {
        Ok(PreparedFork {
            after: fork.after as usize,
            parent: place_of(fork.parent).map_err(malformed)?,
            at: Sequence::new(fork.at),
            place: place_of(fork.place).map_err(malformed)?,
        })
    };
    sent.iter().map(fork).collect()
}

fn append_of(message: &Bytes, sent: &SentAppend<'_>, takes: Takes) -> Result<Prepared> {
    let counted: u64 = sent.parts.0.iter().map(|part| u64::from(part.count)).sum();
    if counted != sent.records.0.len() as u64 || sent.parts.0.iter().any(|part| part.count == 0) {
        return Err(Invalid::new("events", "are not as many as the client says, or none").into());
    }
    let (mut bytes, mut rest) = (0, sent.records.0.iter());
    let mut seen = HashSet::with_capacity(if counted > 1 { sent.records.0.len() } else { 0 });
    let mut parts = Vec::with_capacity(sent.parts.0.len());
    for part in &sent.parts.0 {
        let mut records = Vec::with_capacity(part.count as usize);
        for encoded in rest.by_ref().take(part.count as usize) {
            let record = decode_record(message.slice_ref(encoded)).map_err(malformed)?;
            check(&record, takes)?;
            if counted > 1 && !seen.insert(record.id()) {
                let reason = format!("{} appears twice in one append", record.id());
                return Err(Invalid::new("id", reason).into());
            }
            bytes += encoded.len();
            records.push(record);
        }
        let place = place_of(part.place).map_err(malformed)?;
        parts.push(PreparedPart { place, expect: expect_of(part.expect), branch: part.branch, records });
    }
    if bytes > MAX_BATCH_BYTES {
        let (size, limit) = (bytes as u64, MAX_BATCH_BYTES as u64);
        return Err(Error::TooLarge { what: "this append".to_owned(), size, limit });
    }
    let relaxed = sent.relaxed && takes.least == Durability::Relaxed;
    let records = writes_of(&sent.writes)?;
    Ok(Prepared {
        parts,
        forks: Vec::new(),
        durability: if relaxed { Durability::Relaxed } else { Durability::Durable },
        bytes: bytes + records.bytes(),
        records,
    })
}

/// What a store checks of every event, since what is recorded has to be readable for ever.
fn check(record: &Record, takes: Takes) -> Result<()> {
    let (size, limit) = (record.payload().len(), takes.payload_bytes);
    if size > limit {
        let reason = format!("has {size} bytes; the limit of this store is {limit}");
        return Err(Invalid::new("data", reason).into());
    }
    NewEvent::from(record).check().map_err(Error::from)
}

pub(super) fn table_of(number: u8) -> Result<SidecarTable> {
    SidecarTable::numbered(number)
        .ok_or_else(|| Error::storage(format!("there is no table {number} in this release")))
}

fn writes_of(sent: &SentWrites<'_>) -> Result<SidecarWrites> {
    let mut writes = SidecarWrites::new();
    for (table, key, value) in &sent.rows.0 {
        match value {
            Some(value) => writes.put(table_of(*table)?, key.to_vec(), value.to_vec()),
            None => writes.remove(table_of(*table)?, key.to_vec()),
        }
    }
    for (table, key, value) in &sent.expected.0 {
        writes.expect(table_of(*table)?, key.to_vec(), value.map(<[u8]>::to_vec));
    }
    let writes = writes.from(HandleId::of(sent.by));
    Ok(if sent.relaxed { writes.relaxed() } else { writes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_BATCH_FORKS;

    #[test]
    fn an_append_of_a_client_forks_no_more_branches_than_one_of_the_owner() {
        let place = |branch| SentPlace { session: "s", branch };
        let fork = SentFork { after: 0, parent: place("main"), at: 0, place: place("b") };
        assert_eq!(forks_of(&vec![fork; MAX_BATCH_FORKS]).unwrap().len(), MAX_BATCH_FORKS);
        let refused = forks_of(&vec![fork; MAX_BATCH_FORKS + 1]).unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{refused}");
    }
}
