//! A lease in the store: a record that changes when it is taken, and one that changes when it is renewed. An append expects
//! the first, so renewing is in nobody's way.

use serde::{Deserialize, Serialize};

use super::lease::{FencingToken, Lease};
use crate::engine::{Records, SidecarTable, SidecarWrites};
use crate::error::{Error, Result};
use crate::event::{EventId, SessionId, Timestamp};

const TAKEN: u8 = b'h';
const UNTIL: u8 = b't';

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    holder: String,
    pub(crate) fence: u64,
    /// Made for this taking: two who take the lease at the same time never write the same.
    taking: EventId,
}

impl Taken {
    pub(crate) fn new(holder: &str, fence: u64) -> Self {
        Self { holder: holder.to_owned(), fence, taking: EventId::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Until {
    /// Microseconds since the epoch; `None` once it was released.
    until: Option<i64>,
    /// Made for this writing.
    writing: EventId,
}

/// Both records of a session, as they were read.
#[derive(Debug)]
pub(crate) struct Stored {
    session: SessionId,
    taken: Option<Vec<u8>>,
    until: Option<Vec<u8>>,
}

fn key(kind: u8, session: &SessionId) -> Vec<u8> {
    [&[kind, 0], session.as_str().as_bytes()].concat()
}

/// The session of which a key is the first record.
pub(crate) fn session_of(key: &[u8]) -> Option<SessionId> {
    let name = key.strip_prefix(&[TAKEN, 0])?;
    SessionId::new(std::str::from_utf8(name).ok()?).ok()
}

pub(crate) const PREFIX: &[u8] = &[TAKEN, 0];

pub(crate) fn first_key(session: &SessionId) -> Vec<u8> {
    key(TAKEN, session)
}

fn decoded<'a, T: Deserialize<'a>>(session: &SessionId, row: &'a [u8]) -> Result<T> {
    serde_json::from_slice(row).map_err(|e| Error::corrupt(format!("the lease on {session}"), e.to_string()))
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl Stored {
    pub(crate) fn read(records: &Records, session: &SessionId) -> Result<Self> {
        let keys = [key(TAKEN, session), key(UNTIL, session)];
        let [taken, until] = records.get_all(SidecarTable::Leases, [&keys[0], &keys[1]])?;
        Ok(Self { session: session.clone(), taken, until })
    }

    pub(crate) fn taken(&self) -> Result<Option<Taken>> {
        self.taken.as_deref().map(|row| decoded(&self.session, row)).transpose()
    }

    /// The lease, if it was not released; it may be over.
    pub(crate) fn lease(&self) -> Result<Option<Lease>> {
        let Some(Taken { holder, fence, .. }) = self.taken()? else { return Ok(None) };
        let until = self.until.as_deref().map(|row| decoded::<Until>(&self.session, row)).transpose()?;
        let Some(until) = until.and_then(|until| until.until) else { return Ok(None) };
        let token = FencingToken { session: self.session.clone(), fence, holder };
        Ok(Some(Lease::of(token, Timestamp::from_micros(until))))
    }

    /// Whether this is the token of whoever took the lease last.
    pub(crate) fn is_of(&self, token: &FencingToken) -> Result<bool> {
        let taken = self.taken()?;
        Ok(taken.is_some_and(|taken| taken.fence == token.fence && taken.holder == token.holder))
    }

    /// What a commit expects that relies on this taking.
    pub(crate) fn expected(&self, records: &mut SidecarWrites) {
        records.expect(SidecarTable::Leases, key(TAKEN, &self.session), self.taken.clone());
    }

    /// Takes the lease, or sets how long it lasts, over what was read.
    pub(crate) fn writes(&self, taken: Option<&Taken>, until: Option<Timestamp>) -> SidecarWrites {
        let mut records = SidecarWrites::new();
        self.expected(&mut records);
        records.expect(SidecarTable::Leases, key(UNTIL, &self.session), self.until.clone());
        if let Some(taken) = taken {
            records.put(SidecarTable::Leases, key(TAKEN, &self.session), encoded(taken));
        }
        let until = Until { until: until.map(Timestamp::micros), writing: EventId::new() };
        records.put(SidecarTable::Leases, key(UNTIL, &self.session), encoded(&until));
        records
    }
}

impl FencingToken {
    /// Adds to a commit that this token has to be the latest of its session. If it is not now, the commit expects what
    /// cannot be: a repetition is then still answered as the first time.
    pub(crate) fn guard(&self, read: &Records, records: &mut SidecarWrites) -> Result<()> {
        let stored = Stored::read(read, &self.session)?;
        match stored.is_of(self)? {
            true => stored.expected(records),
            false => records.expect(SidecarTable::Leases, key(TAKEN, &self.session), Some(Vec::new())),
        }
        Ok(())
    }

    /// Why an append with this token was refused; `None` when it was not for the token.
    pub(crate) fn refusal(&self, read: &Records) -> Result<Option<Error>> {
        let stored = Stored::read(read, &self.session)?;
        if stored.is_of(self)? { Ok(None) } else { self.lost(&stored).map(Some) }
    }

    /// Why it is not the latest.
    pub(crate) fn lost(&self, stored: &Stored) -> Result<Error> {
        let holder = stored.lease()?.map(|lease| lease.holder);
        Ok(Error::LeaseLost { session: self.session.clone(), fence: self.fence, holder })
    }
}
