//! Questions and commits as messages.

use super::changes::sent_change;
use super::parts::{sent_place, sent_range};
use super::problem::sent_expect;
use crate::codec::Bounded;
use crate::codec::link::{SentAppend, SentAsk, SentFork, SentPart, SentWrites};
use crate::engine::commit::{Commit, Prepared};
use crate::engine::durability::Durability;
use crate::engine::get::Get;
use crate::engine::sidecar::SidecarWrites;
use crate::error::{Error, Result};
use crate::event::{Sequence, SessionId};
use crate::limits::{SHARED_LIST, SHARED_MESSAGE_BYTES};

/// A commit as it is sent.
pub(crate) fn ask_commit(call: u64, commit: &Commit) -> Result<Vec<u8>> {
    let ask = match commit {
        Commit::Append(prepared) if prepared.forks.is_empty() => SentAsk::Append(sent_append(prepared)?),
        Commit::Append(prepared) => {
            let forks = prepared.forks.iter().map(|fork| SentFork {
                after: fork.after as u32,
                parent: sent_place(&fork.parent),
                at: fork.at.get(),
                place: sent_place(&fork.place),
            });
            SentAsk::AppendForking(sent_append(prepared)?, Bounded(forks.collect()))
        }
        Commit::Fork { parent, at, place } => {
            SentAsk::Fork(sent_place(parent), at.map(Sequence::get), sent_place(place))
        }
        Commit::Records(records) => SentAsk::Write(sent_writes(records)?),
        Commit::Change(changes) => SentAsk::Change(Bounded(changes.iter().map(sent_change).collect())),
    };
    let message = ask.message(call, commit.bytes() + 256);
    match message.len() > SHARED_MESSAGE_BYTES {
        true => Err(Error::TooLarge {
            what: "this commit".to_owned(),
            size: message.len() as u64,
            limit: SHARED_MESSAGE_BYTES as u64,
        }),
        false => Ok(message),
    }
}

fn sent_append(prepared: &Prepared) -> Result<SentAppend<'_>> {
    let parts = prepared.parts.iter().map(|p| SentPart {
        place: sent_place(&p.place),
        expect: sent_expect(p.expect),
        branch: p.branch,
        count: p.records.len() as u32,
    });
    let records = prepared.parts.iter().flat_map(|part| &part.records);
    Ok(SentAppend {
        parts: Bounded(parts.collect()),
        records: Bounded(records.map(|record| &**record.encoded()).collect()),
        relaxed: prepared.durability == Durability::Relaxed,
        writes: sent_writes(&prepared.records)?,
    })
}

fn sent_writes(writes: &SidecarWrites) -> Result<SentWrites<'_>> {
    let expected = writes.expected();
    let count = writes.len().max(expected.len());
    if count > SHARED_LIST {
        return Err(Error::storage(format!(
            "a commit of {count} records is too long to be sent to the owner"
        )));
    }
    let expected = expected.iter().map(|e| (e.table.number(), e.key.as_slice(), e.value.as_deref()));
    Ok(SentWrites {
        rows: Bounded(writes.rows().map(|(table, key, value)| (table.number(), key, value)).collect()),
        expected: Bounded(expected.collect()),
        relaxed: writes.durability() == Durability::Relaxed,
        by: writes.by().get(),
    })
}

/// A question as it is sent.
pub(crate) fn ask_read(call: u64, get: &Get<'_>) -> Vec<u8> {
    let ask = match get {
        Get::Branch(place) => SentAsk::Branch(sent_place(place)),
        Get::BranchesOf(session) => SentAsk::BranchesOf(session.as_str()),
        Get::Branches { after, limit } => SentAsk::Branches(after.map(SessionId::as_str), *limit as u64),
        Get::Sessions { after, limit } => SentAsk::Sessions(after.map(SessionId::as_str), *limit as u64),
        Get::Names { of, after, limit, rows } => {
            SentAsk::Names(of.map(SessionId::as_str), *after, *limit as u64, *rows as u64)
        }
        Get::End(branch) => SentAsk::End(branch.number, sent_place(&branch.place)),
        Get::Events { branch, range } => {
            SentAsk::Events(branch.number, sent_place(&branch.place), sent_range(*range))
        }
        Get::Pieces { branch, from, to } => {
            SentAsk::Pieces(branch.number, sent_place(&branch.place), *from, *to)
        }
        Get::OfSession { session, range } => SentAsk::OfSession(session.as_str(), sent_range(*range)),
        Get::All(range) => SentAsk::All(sent_range(*range)),
        Get::Event(id) => SentAsk::Event(*id.bytes()),
        Get::Ids { from, to, limit } => SentAsk::Ids(*from.bytes(), *to.bytes(), *limit as u64),
        Get::Whose(position) => SentAsk::Whose(position.get()),
        Get::Record { table, key } => SentAsk::Record(table.number(), key),
        Get::EachRecord { table, keys } => SentAsk::EachRecord(table.number(), Bounded(keys.to_vec())),
        Get::Records { table, range } => SentAsk::Records {
            table: table.number(),
            prefix: range.prefix,
            after: range.after,
            to: range.to,
            limit: range.limit as u64,
            reverse: range.reverse,
        },
    };
    ask.message(call, 96)
}
