//! Answers as messages, and back.

use bytes::Bytes;

use super::parts::{
    PieceParts, branch_of, bytes_of_events, end_of, events_of, full_branch_of, full_end_of, piece_of,
    place_of, sent_branch, sent_end, sent_events, sent_full_branch, sent_full_end, sent_place, session_of,
};
use super::problem::{problem_of, sent_problem};
use crate::codec::link::{SentAnswer, SentFullEnd, SentPlaced};
use crate::codec::{Bounded, Malformed};
use crate::engine::commit::Outcome;
use crate::engine::get::{Got, NamesFound};
use crate::engine::pieces::Pieces;
use crate::engine::receipt::{Placed, Receipt};
use crate::engine::sidecar::SidecarRecord;
use crate::error::{Error, Result};
use crate::event::{EventId, Position, Sequence};
use crate::limits::{SHARED_LIST, SHARED_MESSAGE_BYTES};

/// An error as the answer to a call.
pub(crate) fn failed(call: u64, error: &Error) -> Vec<u8> {
    SentAnswer::Failed(sent_problem(error)).message(call, 128)
}

/// How a commit went.
pub(crate) fn outcome_message(call: u64, outcome: &Result<Outcome>) -> Vec<u8> {
    let answer = match outcome {
        Err(error) => return failed(call, error),
        Ok(Outcome::Written) => SentAnswer::Written,
        Ok(Outcome::Forked(branch)) if branch.attributes.is_empty() => {
            SentAnswer::Forked(sent_branch(branch))
        }
        Ok(Outcome::Forked(branch)) => SentAnswer::FullForked(sent_full_branch(branch)),
        Ok(Outcome::Changed(branches)) => {
            SentAnswer::Changed(Bounded(branches.iter().map(|branch| sent_full_branch(branch)).collect()))
        }
        Ok(Outcome::Appended(receipt)) => {
            let parts = receipt.parts().iter().map(|part| SentPlaced {
                place: sent_place(&part.place),
                first: part.first.get(),
                last: part.last.get(),
                first_position: part.first_position.get(),
                last_position: part.last_position.get(),
            });
            SentAnswer::Appended(Bounded(parts.collect()), receipt.duplicate())
        }
    };
    answer.message(call, 128)
}

/// What was found.
pub(crate) fn got_message(call: u64, got: &Result<Got>) -> Vec<u8> {
    let got = match got {
        Ok(got) => got,
        Err(error) => return failed(call, error),
    };
    let bytes = bytes_of_events;
    let list = match got {
        Got::Branches(list) => list.len(),
        Got::Sessions(list) => list.len(),
        Got::Names(found) => found.names.len(),
        Got::EachRecord(list) => list.len(),
        Got::Records(list) => list.len(),
        Got::Events(list) => list.len(),
        Got::Ids(list) => list.len(),
        _ => 0,
    };
    if list > SHARED_LIST {
        return too_many(call);
    }
    let message = match got {
        Got::Branch(Some(branch)) if !branch.attributes.is_empty() => {
            SentAnswer::FullBranch(sent_full_branch(branch)).message(call, 128)
        }
        Got::Branch(branch) => SentAnswer::Branch(branch.as_deref().map(sent_branch)).message(call, 128),
        Got::Branches(list) if list.iter().any(|(branch, _)| !branch.attributes.is_empty()) => {
            let list = list.iter().map(|(branch, end)| (sent_full_branch(branch), sent_end(end)));
            SentAnswer::FullBranches(Bounded(list.collect())).message(call, 128)
        }
        Got::Branches(list) => {
            let list = list.iter().map(|(branch, end)| (sent_branch(branch), sent_end(end)));
            SentAnswer::Branches(Bounded(list.collect())).message(call, 128)
        }
        Got::Sessions(list) => {
            let list = list.iter().map(crate::event::SessionId::as_str);
            SentAnswer::Sessions(Bounded(list.collect())).message(call, 128)
        }
        Got::Names(found) => {
            let list = found.names.iter().map(String::as_str).collect();
            SentAnswer::Names(Bounded(list), found.is_cut).message(call, 128)
        }
        Got::End(end) if end.first > 1 || end.closed => {
            SentAnswer::FullEnd(sent_full_end(end)).message(call, 48)
        }
        Got::End(end) => SentAnswer::End(sent_end(end)).message(call, 32),
        Got::Events(events) => SentAnswer::Events(sent_events(events)).message(call, bytes(events) + 64),
        Got::Pieces(pieces) => {
            let parts: Vec<PieceParts<'_>> = pieces.list.iter().map(PieceParts::of).collect();
            let bytes = parts.iter().map(PieceParts::bytes).sum::<usize>();
            let list = parts.iter().map(PieceParts::sent).collect();
            SentAnswer::Pieces(Bounded(list), pieces.next).message(call, bytes + 1_024)
        }
        Got::Event(event) => {
            let event = event.as_ref().map(std::slice::from_ref);
            SentAnswer::Event(event.map(sent_events)).message(call, event.map_or(0, bytes) + 64)
        }
        Got::Ids(ids) => {
            let list = ids.iter().map(|id| *id.bytes()).collect();
            SentAnswer::Ids(Bounded(list)).message(call, 16 * ids.len() + 16)
        }
        Got::Whose(Some((branch, sequence))) if !branch.attributes.is_empty() => {
            SentAnswer::FullWhose(sent_full_branch(branch), *sequence).message(call, 128)
        }
        Got::Whose(found) => {
            let found = found.as_ref().map(|(branch, sequence)| (sent_branch(branch), *sequence));
            SentAnswer::Whose(found).message(call, 128)
        }
        Got::Record(value) => {
            let len = value.as_ref().map_or(0, Vec::len);
            SentAnswer::Record(value.as_deref()).message(call, len + 16)
        }
        Got::EachRecord(values) => {
            let values = values.iter().map(Option::as_deref).collect();
            SentAnswer::EachRecord(Bounded(values)).message(call, 256)
        }
        Got::Records(records) => {
            let records = records.iter().map(|record| {
                let value = record.value.as_deref().map_err(sent_problem);
                (record.key.as_slice(), value)
            });
            SentAnswer::Records(Bounded(records.collect())).message(call, 1_024)
        }
    };
    match message.len() > SHARED_MESSAGE_BYTES {
        true => {
            let (size, limit) = (message.len() as u64, SHARED_MESSAGE_BYTES as u64);
            failed(call, &Error::TooLarge { what: "the answer".to_owned(), size, limit })
        }
        false => message,
    }
}

fn too_many(call: u64) -> Vec<u8> {
    let reason = format!("an answer of more than {SHARED_LIST} entries is too long; ask for fewer at once");
    failed(call, &Error::storage(reason))
}

/// How a commit went; `None` when the answer is to something else.
pub(crate) fn outcome(answer: &SentAnswer<'_>) -> Result<Option<Outcome>, Malformed> {
    Ok(Some(match answer {
        SentAnswer::Written => Outcome::Written,
        SentAnswer::Forked(branch) => Outcome::Forked(branch_of(branch)?),
        SentAnswer::FullForked(branch) => Outcome::Forked(full_branch_of(branch)?),
        SentAnswer::Changed(branches) => {
            Outcome::Changed(branches.0.iter().map(full_branch_of).collect::<Result<_, Malformed>>()?)
        }
        SentAnswer::Appended(parts, duplicate) => {
            let part = |sent: &SentPlaced<'_>| {
                Ok(Placed {
                    place: place_of(sent.place)?,
                    first: Sequence::new(sent.first),
                    last: Sequence::new(sent.last),
                    first_position: Position::new(sent.first_position),
                    last_position: Position::new(sent.last_position),
                })
            };
            let parts = parts.0.iter().map(part).collect::<Result<_, Malformed>>()?;
            Outcome::Appended(Receipt::new(parts, *duplicate))
        }
        _ => return Ok(None),
    }))
}

/// What was found, which shares the bytes of the message; `None` when the answer is to something else.
pub(crate) fn read_got(message: &Bytes, answer: &SentAnswer<'_>) -> Result<Option<Got>, Malformed> {
    Ok(Some(match answer {
        SentAnswer::Branch(branch) => Got::Branch(branch.as_ref().map(branch_of).transpose()?),
        SentAnswer::FullBranch(branch) => Got::Branch(Some(full_branch_of(branch)?)),
        SentAnswer::FullBranches(list) => {
            let each = list.0.iter().map(|(branch, end)| {
                let branch = full_branch_of(branch)?;
                let (first, closed) = (branch.first(), branch.attributes.closed.is_some());
                Ok((branch, full_end_of(SentFullEnd { end: *end, first, closed })))
            });
            Got::Branches(each.collect::<Result<_, Malformed>>()?)
        }
        SentAnswer::Branches(list) => {
            let each = list.0.iter().map(|(branch, end)| Ok((branch_of(branch)?, end_of(*end))));
            Got::Branches(each.collect::<Result<_, Malformed>>()?)
        }
        SentAnswer::Sessions(names) => {
            Got::Sessions(names.0.iter().map(|name| session_of(name)).collect::<Result<_, _>>()?)
        }
        SentAnswer::Names(names, is_cut) => Got::Names(NamesFound {
            names: names.0.iter().map(|name| (*name).to_owned()).collect(),
            is_cut: *is_cut,
        }),
        SentAnswer::End(end) => Got::End(end_of(*end)),
        SentAnswer::FullEnd(end) => Got::End(full_end_of(*end)),
        SentAnswer::Events(events) => Got::Events(events_of(message, events)?),
        SentAnswer::Pieces(list, next) => Got::Pieces(Pieces {
            list: list.0.iter().map(|piece| piece_of(message, piece)).collect::<Result<_, _>>()?,
            next: *next,
        }),
        SentAnswer::Event(events) => match events {
            None => Got::Event(None),
            Some(events) => Got::Event(events_of(message, events)?.pop()),
        },
        SentAnswer::Ids(ids) => Got::Ids(ids.0.iter().map(|id| EventId::from_bytes(*id)).collect()),
        SentAnswer::Whose(found) => {
            let found = found.as_ref().map(|(branch, sequence)| Ok((branch_of(branch)?, *sequence)));
            Got::Whose(found.transpose()?)
        }
        SentAnswer::FullWhose(branch, sequence) => Got::Whose(Some((full_branch_of(branch)?, *sequence))),
        SentAnswer::Record(value) => Got::Record(value.map(<[u8]>::to_vec)),
        SentAnswer::EachRecord(values) => {
            Got::EachRecord(values.0.iter().map(|value| value.map(<[u8]>::to_vec)).collect())
        }
        SentAnswer::Records(records) => {
            let record = |(key, value): &(&[u8], Result<&[u8], _>)| {
                let value = match value {
                    Ok(value) => Ok(value.to_vec()),
                    Err(problem) => Err(problem_of(*problem)?),
                };
                Ok(SidecarRecord { key: key.to_vec(), value })
            };
            Got::Records(records.0.iter().map(record).collect::<Result<_, Malformed>>()?)
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::link::LINK_HEADER;

    #[test]
    fn a_list_that_is_too_long_is_an_error_and_is_not_cut() {
        let answer = |len| got_message(1, &Ok(Got::EachRecord(vec![None; len])));
        let whole = answer(SHARED_LIST);
        let whole = SentAnswer::decode(&whole[LINK_HEADER..]).unwrap();
        assert!(matches!(whole, SentAnswer::EachRecord(list) if list.0.len() == SHARED_LIST));
        let refused = answer(SHARED_LIST + 1);
        let Ok(SentAnswer::Failed(problem)) = SentAnswer::decode(&refused[LINK_HEADER..]) else {
            panic!("it is cut")
        };
        assert!(problem_of(problem).unwrap().to_string().contains("ask for fewer at once"));
    }
}
