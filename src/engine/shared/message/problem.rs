//! Errors, each with its kind and everything that it says.

use super::parts::{place_of, sent_place, session_of};
use super::words::fixed;
use crate::codec::Malformed;
use crate::codec::link::{SentExpect, SentProblem};
use crate::error::Error;
use crate::event::{Address, EventId, Expect, Invalid, Position, Sequence, Timestamp};

pub(super) fn sent_expect(expect: Expect) -> SentExpect {
    match expect {
        Expect::Any => SentExpect::Any,
        Expect::Empty => SentExpect::Empty,
        Expect::Head(head) => SentExpect::Head(head.get()),
    }
}

pub(super) fn expect_of(sent: SentExpect) -> Expect {
    match sent {
        SentExpect::Any => Expect::Any,
        SentExpect::Empty => Expect::Empty,
        SentExpect::Head(head) => Expect::Head(Sequence::new(head)),
    }
}

fn sequence(address: &Address) -> Option<u64> {
    address.sequence().map(Sequence::get)
}

/// An error as it is sent.
pub(super) fn sent_problem(error: &Error) -> SentProblem<'_> {
    match error {
        Error::Conflict { place, expected, actual } => {
            SentProblem::Conflict(sent_place(place), sent_expect(*expected), actual.get())
        }
        Error::RecordChanged { record } => SentProblem::RecordChanged(record),
        Error::NotFound { what, name } => SentProblem::NotFound(what, name),
        Error::Exists { what, name } => SentProblem::Exists(what, name),
        Error::Invalid(invalid) => SentProblem::Invalid(invalid.field, &invalid.reason),
        Error::Duplicate { id, at } => {
            SentProblem::Duplicate(*id.bytes(), sent_place(at.place()), sequence(at))
        }
        Error::Locked { path, .. } => SentProblem::Locked(path),
        Error::OtherProcess { opened_in } => SentProblem::OtherProcess(*opened_in),
        Error::Corrupt { place, reason } => SentProblem::Corrupt(place, reason),
        Error::TooLarge { what, size, limit } => SentProblem::TooLarge(what, *size, *limit),
        Error::Unknown { reason } => SentProblem::Unknown(reason),
        // Of the owner's own owner, which is none of the client's.
        Error::Storage { reason } | Error::Unreachable { reason, .. } | Error::Refused { reason, .. } => {
            SentProblem::Storage(reason)
        }
        Error::Upcast { at, position, reason } => {
            SentProblem::Upcast(sent_place(at.place()), sequence(at), position.get(), reason)
        }
        Error::NewerFormat { path, found, supported } => SentProblem::NewerFormat(path, *found, *supported),
        Error::UnknownFeatures { path, features, may_read } => {
            SentProblem::UnknownFeatures(path, *features, *may_read)
        }
        Error::LeaseHeld { session, holder, until } => {
            SentProblem::LeaseHeld(session.as_str(), holder, until.micros())
        }
        Error::LeaseLost { session, fence, holder } => {
            SentProblem::LeaseLost(session.as_str(), *fence, holder.as_deref())
        }
        Error::BranchClosed { place, at } => SentProblem::BranchClosed(sent_place(place), at.micros()),
        Error::Deleted { place, at } => SentProblem::Deleted(sent_place(place), at.micros()),
        Error::Truncated { place, first } => SentProblem::Truncated(sent_place(place), first.get()),
        Error::BadCursor { reason } => SentProblem::BadCursor(reason),
        Error::Diverged { what, at } => SentProblem::Diverged(what, at),
        Error::NotABase { path, reason } => SentProblem::NotABase(path, reason),
        Error::Parked { projection, at, reason } => {
            SentProblem::Parked(projection, sent_place(at.place()), sequence(at), reason)
        }
        Error::Differs { what, name, setting, recorded, asked } => {
            SentProblem::Differs(what, name, setting, recorded, asked)
        }
        Error::NotDelivered { consumer, reason } => SentProblem::NotDelivered(consumer, reason),
        Error::ReadOnly { path } => SentProblem::ReadOnly(path),
        Error::Closed { after } => SentProblem::Closed(after.as_deref()),
        Error::OwnerLost { owner } => SentProblem::OwnerLost(*owner),
        Error::NoAnswer { owner, seconds } => SentProblem::NoAnswer(*owner, *seconds),
        Error::OtherProtocol { owner, theirs, ours } => SentProblem::OtherProtocol(*owner, *theirs, *ours),
    }
}

/// The error that was sent.
pub(crate) fn problem_of(sent: SentProblem<'_>) -> Result<Error, Malformed> {
    let address = |place, sequence: Option<u64>| -> Result<Address, Malformed> {
        let address = Address::from(place_of(place)?);
        Ok(match sequence {
            Some(sequence) => address.at(sequence),
            None => address,
        })
    };
    Ok(match sent {
        SentProblem::Conflict(place, expected, actual) => Error::Conflict {
            place: place_of(place)?,
            expected: expect_of(expected),
            actual: Sequence::new(actual),
        },
        SentProblem::RecordChanged(record) => Error::RecordChanged { record: record.into() },
        SentProblem::NotFound(what, name) => Error::NotFound { what: fixed(what), name: name.into() },
        SentProblem::Exists(what, name) => Error::Exists { what: fixed(what), name: name.into() },
        SentProblem::Invalid(field, reason) => Invalid::new(fixed(field), reason).into(),
        SentProblem::Duplicate(id, place, sequence) => {
            Error::Duplicate { id: EventId::from_bytes(id), at: address(place, sequence)? }
        }
        SentProblem::Locked(path) => Error::Locked { path: path.into(), reason: String::new() },
        SentProblem::OtherProcess(opened_in) => Error::OtherProcess { opened_in },
        SentProblem::Corrupt(place, reason) => Error::corrupt(place, reason),
        SentProblem::TooLarge(what, size, limit) => Error::TooLarge { what: what.into(), size, limit },
        SentProblem::Unknown(reason) => Error::Unknown { reason: reason.into() },
        SentProblem::Storage(reason) => Error::storage(reason),
        SentProblem::Upcast(place, sequence, position, reason) => Error::Upcast {
            at: address(place, sequence)?,
            position: Position::new(position),
            reason: reason.into(),
        },
        SentProblem::NewerFormat(path, found, supported) => {
            Error::NewerFormat { path: path.into(), found, supported }
        }
        SentProblem::UnknownFeatures(path, features, may_read) => {
            Error::UnknownFeatures { path: path.into(), features, may_read }
        }
        SentProblem::LeaseHeld(session, holder, until) => Error::LeaseHeld {
            session: session_of(session)?,
            holder: holder.into(),
            until: Timestamp::from_micros(until),
        },
        SentProblem::LeaseLost(session, fence, holder) => {
            Error::LeaseLost { session: session_of(session)?, fence, holder: holder.map(Into::into) }
        }
        SentProblem::BranchClosed(place, at) => {
            Error::BranchClosed { place: place_of(place)?, at: Timestamp::from_micros(at) }
        }
        SentProblem::Deleted(place, at) => {
            Error::Deleted { place: place_of(place)?, at: Timestamp::from_micros(at) }
        }
        SentProblem::Truncated(place, first) => {
            Error::Truncated { place: place_of(place)?, first: Sequence::new(first) }
        }
        SentProblem::BadCursor(reason) => Error::BadCursor { reason: reason.into() },
        SentProblem::Diverged(what, at) => Error::Diverged { what: what.into(), at: at.into() },
        SentProblem::NotABase(path, reason) => Error::NotABase { path: path.into(), reason: reason.into() },
        SentProblem::Parked(projection, place, sequence, reason) => Error::Parked {
            projection: projection.into(),
            at: address(place, sequence)?,
            reason: reason.into(),
        },
        SentProblem::Differs(what, name, setting, recorded, asked) => Error::Differs {
            what: fixed(what),
            name: name.into(),
            setting: fixed(setting),
            recorded: recorded.into(),
            asked: asked.into(),
        },
        SentProblem::NotDelivered(consumer, reason) => {
            Error::NotDelivered { consumer: consumer.into(), reason: reason.into() }
        }
        SentProblem::ReadOnly(path) => Error::ReadOnly { path: path.into() },
        SentProblem::Closed(after) => Error::Closed { after: after.map(Into::into) },
        SentProblem::OwnerLost(owner) => Error::OwnerLost { owner },
        SentProblem::NoAnswer(owner, seconds) => Error::NoAnswer { owner, seconds },
        SentProblem::OtherProtocol(owner, theirs, ours) => Error::OtherProtocol { owner, theirs, ours },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Place;

    #[test]
    fn every_error_comes_back_as_it_was() {
        let place = Place::new("s".try_into().unwrap(), "b".try_into().unwrap());
        let (at, text) = (Address::from(&place).at(7), || String::from("because of it"));
        let errors = [
            Error::Conflict { place: place.clone(), expected: Expect::Head(5.into()), actual: 3.into() },
            Error::Conflict { place: place.clone(), expected: Expect::Empty, actual: 3.into() },
            Error::BranchClosed { place: place.clone(), at: Timestamp::from_micros(7) },
            Error::Deleted { place: place.clone(), at: Timestamp::from_micros(7) },
            Error::Truncated { place: place.clone(), first: 5.into() },
            Error::RecordChanged { record: text() },
            Error::not_found("branch", "s/b"),
            Error::Exists { what: "branch", name: text() },
            Invalid::new("data", "is too large").into(),
            Error::Duplicate { id: EventId::new(), at: at.clone() },
            Error::Duplicate { id: EventId::new(), at: place.into() },
            Error::Locked { path: text(), reason: String::new() },
            Error::OtherProcess { opened_in: 5 },
            Error::corrupt("s/b@3", "its checksum is wrong"),
            Error::TooLarge { what: text(), size: 2, limit: 1 },
            Error::Unknown { reason: text() },
            Error::storage("the disk is full"),
            Error::Upcast { at: at.clone(), position: 9.into(), reason: text() },
            Error::NewerFormat { path: text(), found: 9, supported: 2 },
            Error::UnknownFeatures { path: text(), features: 5, may_read: true },
            Error::LeaseHeld {
                session: "s".try_into().unwrap(),
                holder: text(),
                until: Timestamp::from_micros(7),
            },
            Error::LeaseLost { session: "s".try_into().unwrap(), fence: 3, holder: None },
            Error::LeaseLost { session: "s".try_into().unwrap(), fence: 3, holder: Some(text()) },
            Error::BadCursor { reason: text() },
            Error::Diverged { what: text(), at: text() },
            Error::NotABase { path: text(), reason: text() },
            Error::Parked { projection: text(), at, reason: text() },
            Error::Differs {
                what: "consumer",
                name: text(),
                setting: "deadline",
                recorded: text(),
                asked: text(),
            },
            Error::NotDelivered { consumer: text(), reason: text() },
            Error::ReadOnly { path: text() },
            Error::Closed { after: None },
            Error::Closed { after: Some(text()) },
            Error::OwnerLost { owner: 7 },
            Error::NoAnswer { owner: 7, seconds: 10 },
            Error::OtherProtocol { owner: 7, theirs: (3, 4), ours: (1, 2) },
        ];
        for error in errors {
            let back = problem_of(sent_problem(&error)).unwrap();
            assert_eq!((&back, back.to_string()), (&error, error.to_string()));
        }
    }
}
