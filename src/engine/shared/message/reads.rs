//! The question that a client asks, put to an engine.

use std::sync::Arc;

use super::commits::table_of;
use super::parts::{place_of, session_of};
use crate::codec::Malformed;
use crate::codec::link::{SentAsk, SentPlace, SentRange};
use crate::engine::branch::Branch;
use crate::engine::get::{Get, Got, Range};
use crate::engine::port::EngineReader;
use crate::engine::sidecar::SidecarRange;
use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::limits::SHARED_LIST;

/// Whether memory may have the answer.
pub(crate) fn is_in_memory(ask: &SentAsk<'_>) -> bool {
    matches!(ask, SentAsk::Branch(_) | SentAsk::End(..))
}

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// To memory and to the disk. Blocks.
    Everywhere,
    /// Only to memory.
    InMemory,
}

/// The answer; `None` when memory does not have it and nothing else is asked. `None` for a message that asks nothing.
pub(crate) fn read_of(reader: &dyn EngineReader, ask: &SentAsk<'_>, look: Look) -> Result<Option<Got>> {
    let read = |get: Get<'_>| match look {
        Look::Everywhere => reader.read(&get).map(Some),
        Look::InMemory => reader.peek(&get),
    };
    // A branch is found by its names: what a client says of a number or of ancestors is not believed.
    let branch = |number: u64, place: SentPlace<'_>| -> Result<Option<Arc<Branch>>> {
        let place = place_of(place).map_err(malformed)?;
        let found = match look {
            Look::Everywhere => reader.last_named(&place)?,
            Look::InMemory => reader.last_named_in_memory(&place)?,
        };
        match found {
            Some(branch) if branch.number == number => Ok(Some(branch)),
            // A later branch has its names.
            Some(branch) if branch.number > number => Err(branch.gone(branch.created)),
            None if look == Look::InMemory => Ok(None),
            _ => Err(reader.identity().not_found("branch", place)),
        }
    };
    // One more than is sent, to see that there are more.
    let limit = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX).min(SHARED_LIST + 1);
    let range = |sent: SentRange| Range {
        from: sent.from,
        to: sent.to,
        limit: limit(sent.limit),
        reverse: sent.reverse,
    };
    let session = |name: &str| session_of(name).map_err(malformed);
    match ask {
        SentAsk::Branch(place) => read(Get::Branch(&place_of(*place).map_err(malformed)?)),
        SentAsk::BranchesOf(name) => read(Get::BranchesOf(&session(name)?)),
        SentAsk::Branches(after, most) => {
            let after = after.map(session).transpose()?;
            read(Get::Branches { after: after.as_ref(), limit: limit(*most) })
        }
        SentAsk::Sessions(after, most) => {
            let after = after.map(session).transpose()?;
            read(Get::Sessions { after: after.as_ref(), limit: limit(*most) })
        }
        SentAsk::Names(of, after, most, rows) => {
            let of = of.map(session).transpose()?;
            read(Get::Names { of: of.as_ref(), after: *after, limit: limit(*most), rows: limit(*rows) })
        }
        SentAsk::End(number, place) => match branch(*number, *place)? {
            Some(branch) => read(Get::End(&branch)),
            None => Ok(None),
        },
        SentAsk::Events(number, place, sent) => match branch(*number, *place)? {
            Some(branch) => read(Get::Events { branch: &branch, range: range(*sent) }),
            None => Ok(None),
        },
        SentAsk::Pieces(number, place, from, to) => match branch(*number, *place)? {
            Some(branch) => read(Get::Pieces { branch: &branch, from: *from, to: *to }),
            None => Ok(None),
        },
        SentAsk::OfSession(name, sent) => {
            read(Get::OfSession { session: &session(name)?, range: range(*sent) })
        }
        SentAsk::All(sent) => read(Get::All(range(*sent))),
        SentAsk::Event(id) => read(Get::Event(EventId::from_bytes(*id))),
        SentAsk::Ids(from, to, most) => read(Get::Ids {
            from: EventId::from_bytes(*from),
            to: EventId::from_bytes(*to),
            limit: limit(*most),
        }),
        SentAsk::Whose(position) => read(Get::Whose(Position::new(*position))),
        SentAsk::Record(number, key) => read(Get::Record { table: table_of(*number)?, key }),
        SentAsk::EachRecord(number, keys) => {
            read(Get::EachRecord { table: table_of(*number)?, keys: &keys.0 })
        }
        SentAsk::Records { table, prefix, after, to, limit: most, reverse } => {
            let range =
                SidecarRange { prefix, after: *after, to: *to, limit: limit(*most), reverse: *reverse };
            read(Get::Records { table: table_of(*table)?, range })
        }
        _ => Ok(None),
    }
}

fn malformed(e: Malformed) -> Error {
    Error::storage(format!("what the client asks cannot be read: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::identity::Identity;
    use crate::engine::memory::open;
    use crate::engine::process::Process;
    use crate::engine::sidecar::SidecarTable;
    use crate::sync::{Mutex, lock};

    /// Answers with nothing, and keeps how much it was asked for.
    #[derive(Debug)]
    struct Limits(Arc<dyn EngineReader>, Mutex<Vec<usize>>);

    impl EngineReader for Limits {
        fn identity(&self) -> &Identity {
            self.0.identity()
        }

        fn process(&self) -> &Process {
            self.0.process()
        }

        fn committed(&self) -> Position {
            self.0.committed()
        }

        fn read(&self, get: &Get<'_>) -> Result<Got> {
            if let Get::Records { range: SidecarRange { limit, .. }, .. } | Get::Sessions { limit, .. } = get
            {
                lock(&self.1).push(*limit);
            }
            self.0.read(get)
        }

        fn peek(&self, get: &Get<'_>) -> Result<Option<Got>> {
            self.0.peek(get)
        }
    }

    #[test]
    fn one_more_is_read_than_is_sent_so_that_what_is_too_long_is_noticed() {
        let engine = open(false);
        let reader = Limits(engine.reader().unwrap(), Mutex::default());
        let table = SidecarTable::Consumers.number();
        let records =
            |limit| SentAsk::Records { table, prefix: b"", after: None, to: None, limit, reverse: false };
        for ask in
            [records(u64::MAX), SentAsk::Sessions(None, u64::MAX), records(SHARED_LIST as u64), records(7)]
        {
            read_of(&reader, &ask, Look::Everywhere).unwrap();
        }
        assert_eq!(*lock(&reader.1), [SHARED_LIST + 1, SHARED_LIST + 1, SHARED_LIST, 7]);
    }
}
