//! Taking, renewing and releasing leases.

use std::time::Duration;

use crate::engine::{SidecarRange, SidecarTable};
use crate::error::{Error, Result};
use crate::event::{Invalid, SessionId, Timestamp};
use crate::limits::MAX_LEASE_MS;
use crate::store::append::fence::{PREFIX, Stored, Taken, first_key, session_of};
use crate::store::append::lease::{FencingToken, Lease, checked_holder};
use crate::store::handle::store::Store;
use crate::store::unblocked::unblocked;

/// How often taking a lease is tried while others take it too.
const TRIES: u32 = 64;

/// The leases of a store: [`Store::leases`].
///
/// A lease says who works on a session. It ends by itself after a time unless it is renewed, so a worker that died keeps
/// nobody out for long. One that only stalled may go on appending when another has taken over: its appends carry a
/// [`FencingToken`], and one that is no longer the latest is refused. Appends without a token are not affected.
///
/// ```
/// use std::time::Duration;
/// use retold::{Batch, Error, Expect, NewEvent, Store};
///
/// let store = Store::in_memory()?;
/// let first = store.leases().acquire("run-7", "worker-1", Duration::from_secs(30))?;
/// let append = |token| store.append_batch(
///     Batch::new().fenced(token).add("run-7", Expect::Any, NewEvent::new("step.completed"))?,
/// );
/// append(&first.token)?;
/// // Worker 1 is started again: what is left of it before can append nothing more.
/// let second = store.leases().acquire("run-7", "worker-1", Duration::from_secs(30))?;
/// assert!(matches!(append(&first.token), Err(Error::LeaseLost { .. })));
/// append(&second.token)?;
/// store.leases().release(&second.token)?;
/// # Ok::<(), Error>(())
/// ```
///
/// Times are those of the wall clock of whoever asks. A clock that is wrong lets a lease end early or late; it never lets
/// two holders append.
#[derive(Clone, Debug)]
pub struct Leases {
    store: Store,
}

impl Store {
    /// Leases on sessions.
    #[must_use]
    pub fn leases(&self) -> Leases {
        Leases { store: self.clone() }
    }
}

impl Leases {
    /// Takes the lease on a session for this long. The session need not exist yet. Whoever holds it already under this name
    /// takes it anew: the token from before is then refused.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] while somebody else holds it; [`Error::Invalid`] for an invalid session or holder, or a time of
    /// zero or of more than a year; and those of [`append`](Store::append) for the write.
    pub fn acquire<S>(&self, session: S, holder: &str, time: Duration) -> Result<Lease>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        self.take(session.try_into()?, holder, time)
    }

    fn take(&self, session: SessionId, holder: &str, time: Duration) -> Result<Lease> {
        let (holder, time) = (checked_holder(holder)?, checked_time(time)?);
        for _ in 0..TRIES {
            let stored = self.stored(&session)?;
            let now = Timestamp::now();
            if let Some(lease) = stored.lease()?
                && lease.until > now
                && lease.holder != holder
            {
                let (holder, until) = (lease.holder, lease.until);
                return Err(Error::LeaseHeld { session, holder, until });
            }
            let before = stored.taken()?.map_or(0, |taken| taken.fence);
            let (taken, until) = (Taken::new(holder, before.saturating_add(1)), later(now, time));
            match self.store.inner().write_records(stored.writes(Some(&taken), Some(until))) {
                Err(Error::RecordChanged { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let token = FencingToken { session, fence: taken.fence, holder: holder.to_owned() };
                    return Ok(Lease::of(token, until));
                }
            }
        }
        Err(Error::RecordChanged { record: format!("the lease on {session}") })
    }

    /// Holds a lease for this long from now on. It works also after the lease has ended, as long as nobody else took it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it was taken since, or released; else as [`acquire`](Self::acquire).
    pub fn renew(&self, token: &FencingToken, time: Duration) -> Result<Lease> {
        let time = checked_time(time)?;
        let until = self.rewrite(token, |now| Some(later(now, time)))?;
        Ok(Lease::of(token.clone(), until.unwrap_or_else(Timestamp::now)))
    }

    /// Gives a lease back, so that others need not wait for its end. Releasing it again does nothing. The token stays good
    /// for appends until somebody else takes the lease.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it was taken since; else as [`acquire`](Self::acquire).
    pub fn release(&self, token: &FencingToken) -> Result<()> {
        self.rewrite(token, |_| None).map(drop)
    }

    fn rewrite(
        &self,
        token: &FencingToken,
        until: impl Fn(Timestamp) -> Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        for _ in 0..TRIES {
            let stored = self.stored(&token.session)?;
            let (is_held, until) = (stored.lease()?.is_some(), until(Timestamp::now()));
            if !stored.is_of(token)? || (!is_held && until.is_some()) {
                return Err(token.lost(&stored)?);
            }
            if !is_held {
                return Ok(None);
            }
            match self.store.inner().write_records(stored.writes(None, until)) {
                Err(Error::RecordChanged { .. }) => {}
                written => return written.map(|()| until),
            }
        }
        Err(Error::RecordChanged { record: format!("the lease on {}", token.session) })
    }

    /// Who holds a session; `None` when nobody does. A lease that has ended is `None` too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid session, [`Error::Closed`], [`Error::Corrupt`].
    pub fn get<S>(&self, session: S) -> Result<Option<Lease>>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        let lease = self.stored(&session.try_into()?)?.lease()?;
        Ok(lease.filter(|lease| lease.until > Timestamp::now()))
    }

    /// Up to `limit` leases that are held, by session, after this one.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn list(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<Lease>> {
        let records = self.store.reader()?.records();
        let mut after = after.map(first_key);
        let mut found = Vec::new();
        while found.len() < limit {
            let range = SidecarRange { after: after.as_deref(), ..SidecarRange::under(PREFIX, PAGE) };
            let rows = records.rows(SidecarTable::Leases, &range)?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            for row in rows {
                let Some(session) = session_of(&row.key) else { continue };
                let lease = Stored::read(&records, &session)?.lease()?;
                found.extend(lease.filter(|lease| lease.until > Timestamp::now()));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// [`acquire`](Self::acquire) as an async function. Cancellation as with [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_async<S>(&self, session: S, holder: &str, time: Duration) -> Result<Lease>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        let (leases, session, holder) = (self.clone(), session.try_into()?, holder.to_owned());
        unblocked(move || leases.take(session, &holder, time)).await
    }

    /// [`renew`](Self::renew) as an async function. Cancellation as with [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`renew`](Self::renew).
    pub async fn renew_async(&self, token: &FencingToken, time: Duration) -> Result<Lease> {
        let (leases, token) = (self.clone(), token.clone());
        unblocked(move || leases.renew(&token, time)).await
    }

    /// [`release`](Self::release) as an async function. Cancellation as with [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn release_async(&self, token: &FencingToken) -> Result<()> {
        let (leases, token) = (self.clone(), token.clone());
        unblocked(move || leases.release(&token)).await
    }

    fn stored(&self, session: &SessionId) -> Result<Stored> {
        Stored::read(&self.store.reader()?.records(), session)
    }
}

/// Records that are read at a time.
const PAGE: usize = 1_000;

fn checked_time(time: Duration) -> Result<i64> {
    let most = Duration::from_millis(MAX_LEASE_MS);
    if time.is_zero() || time > most {
        return Err(Invalid::new("time", "has to be more than zero and at most a year").into());
    }
    Ok(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

fn later(now: Timestamp, time: i64) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_add(time))
}
