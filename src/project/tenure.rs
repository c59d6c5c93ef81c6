//! Whether this runner keeps up the states of a projection, or another does.

use std::sync::Arc;
use std::time::Duration;

use super::apply::Fold;
use super::claim::{Claim, Maker, Patience, Sight, Until, claim};
use super::generations::Generations;
use super::keys::{self, Built, LeaseKeys};
use super::lease::{Lease, Seen, Standing, Stored, after};
use crate::error::{Error, Result};
use crate::event::Timestamp;
use crate::limits::PROJECT_PAUSE_MS;
use crate::store::{Records, StoreHandle};
use crate::sync::Instant;

/// When to look again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wake {
    At(Instant),
    /// When more than this is committed.
    Beyond(u64),
}

/// Another keeps the states up.
#[derive(Debug)]
struct Waiting {
    wake: Wake,
    /// When it looked last.
    looked: Instant,
    /// How far the stored states of this code were then: `None` when there are none, and nobody makes them.
    reached: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Tenure {
    handle: StoreHandle,
    fold: Arc<Fold>,
    /// What everything is written with. `None` while another has it, or there is nothing to write.
    lease: Option<Arc<Lease>>,
    waiting: Option<Waiting>,
    seen: Seen,
    /// Since when something lies undone under a lease that has lapsed.
    undone: Option<Timestamp>,
}

impl Tenure {
    pub(super) fn new(handle: StoreHandle, fold: Arc<Fold>) -> Self {
        Self { handle, fold, lease: None, waiting: None, seen: Seen::default(), undone: None }
    }

    /// Looks what there is to do, and takes the lease for it. `None` when others do it, or when it is their turn.
    ///
    /// # Errors
    /// [`Error::RecordChanged`] when another was faster; those of reading.
    pub(super) fn look(
        &mut self,
        records: &Records,
        patience: Patience,
    ) -> Result<Option<(Claim, Generations)>> {
        let now = Timestamp::now();
        let span = self.handle.lease_span();
        let generations = Generations::read(records, &self.fold.name)?;
        let (current, next) = generations.built();
        let own = Stored::read(records, self.fold.lease())?;
        self.lease = self.lease.take().filter(|lease| lease.is_in(&own));
        let standing = self.standing(&own, now);
        let current_maker = current.as_ref().map(|built| self.maker(records, built, now)).transpose()?;
        let next_maker = next.as_ref().map(|built| self.maker(records, built, now)).transpose()?;
        let undone = self.undone.map(|since| since.min(now));
        let is_overdue = undone.is_some_and(|since| now >= after(since, span / 2));
        let claim = claim(&Sight {
            version: self.fold.version,
            current: current_maker,
            next: next_maker,
            own: self.lease.is_none().then_some(standing),
            committed: self.handle.committed().get(),
            patience: if is_overdue && patience == Patience::Left { Patience::Over } else { patience },
        });
        self.undone = (claim == Claim::Wait(Until::Patience)).then(|| undone.unwrap_or(now));
        if let Claim::Wait(until) = claim {
            let at = |time: Timestamp| {
                let micros = u64::try_from(time.micros().saturating_sub(now.micros())).unwrap_or(0);
                Wake::At(Instant::now() + Duration::from_micros(micros).min(span))
            };
            let wake = match until {
                Until::Time(time) => at(time),
                Until::Patience => at(after(self.undone.unwrap_or(now), span / 2)),
                Until::News => Wake::Beyond(current.as_ref().map_or(0, |built| built.position)),
            };
            let reached = match (current.filter(|built| self.fold.made(built)), next) {
                (Some(current), _) => Some(current.position),
                (None, next) => next.filter(|built| self.fold.made(built)).map(|_| 0),
            };
            self.wait(wake, reached)?;
            return Ok(None);
        }
        if self.lease.is_none() {
            let opening = self.handle.opening();
            let taken = Lease::take(&self.handle, &own, opening, now, span)?.ok_or_else(|| self.lost())?;
            self.lease = Some(Arc::new(taken));
        }
        self.waiting = None;
        Ok(Some((claim, generations)))
    }

    fn standing(&mut self, stored: &Stored, now: Timestamp) -> Standing {
        let (opening, span) = (self.handle.opening(), self.handle.lease_span());
        stored.standing(opening, &mut self.seen, now, span)
    }

    fn maker<'a>(&mut self, records: &Records, built: &'a Built, now: Timestamp) -> Result<Maker<'a>> {
        let stored = Stored::read(records, lease_of(&self.fold.name, built))?;
        Ok(Maker { built, is_own: self.fold.made(built), lease: self.standing(&stored, now) })
    }

    /// Writes nothing until then, and lets others have the lease.
    pub(super) fn wait(&mut self, wake: Wake, reached: Option<u64>) -> Result<()> {
        self.waiting = Some(Waiting { wake, looked: Instant::now(), reached });
        self.release()
    }

    pub(super) fn release(&mut self) -> Result<()> {
        self.lease.take().map_or(Ok(()), |lease| lease.release(&self.handle))
    }

    /// Records of others have changed: it looks again, unless it did only just now.
    pub(super) fn look_soon(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            let soon = waiting.looked + Duration::from_millis(PROJECT_PAUSE_MS);
            waiting.wake = match waiting.wake {
                Wake::At(time) => Wake::At(time.min(soon)),
                Wake::Beyond(_) => Wake::At(soon),
            };
        }
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self) -> bool {
        match self.wake() {
            None => false,
            Some(Wake::At(time)) => Instant::now() >= time,
            Some(Wake::Beyond(position)) => self.handle.committed().get() > position,
        }
    }

    /// When it looks again, as it stands.
    pub(super) fn wake(&self) -> Option<Wake> {
        self.waiting.as_ref().map(|waiting| waiting.wake)
    }

    /// Whether another keeps the states up.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Up to where another has stored the states; `None` when nobody stores them.
    pub(super) fn reached(&self) -> Option<u64> {
        self.waiting.as_ref().and_then(|waiting| waiting.reached)
    }

    pub(super) fn lease(&self) -> Option<&Arc<Lease>> {
        self.lease.as_ref()
    }

    /// Refuses what only the holder of the lease can do.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(super) fn held(&self) -> Result<Arc<Lease>> {
        self.lease.clone().ok_or_else(|| self.refused("projection"))
    }

    /// Refuses while others build states of their own.
    ///
    /// # Errors
    /// [`Error::Locked`].
    pub(super) fn check_next(&mut self, records: &Records, generations: &Generations) -> Result<()> {
        let Some(next) = generations.built().1.filter(|next| !self.fold.made(next)) else { return Ok(()) };
        let stored = Stored::read(records, lease_of(&self.fold.name, &next))?;
        match self.standing(&stored, Timestamp::now()) {
            Standing::Held { .. } => Err(self.refused("a rebuild of projection")),
            Standing::Lapsed | Standing::Free => Ok(()),
        }
    }

    /// Whether the lease is still the one that was taken.
    pub(super) fn is_held(&self, records: &Records) -> Result<bool> {
        let stored = Stored::read(records, self.fold.lease())?;
        Ok(self.lease.as_ref().is_some_and(|lease| lease.is_in(&stored)))
    }

    fn refused(&self, what: &str) -> Error {
        let path = format!("{what} {} of {}", self.fold.name, self.handle.name());
        Error::Locked { path, reason: String::new() }
    }

    pub(super) fn lost(&self) -> Error {
        Error::RecordChanged { record: format!("the lease on projection {}", self.fold.name) }
    }
}

/// The lease of the code that makes a generation.
fn lease_of(name: &str, built: &Built) -> LeaseKeys {
    keys::lease(name, &keys::code(built.version, built.shape, built.scope))
}
