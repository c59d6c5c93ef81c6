//! What may become of a branch: how each change alters its attributes, and what can be read of it then. Pure functions of the
//! branch as it is.

use std::collections::HashMap;

use super::branch::Branch;
use super::expiry::{Expiry, Moment, lapsed};
use crate::codec::Attributes;
use crate::error::{Error, Result};
use crate::event::{Address, Place, Sequence, Timestamp};

/// A change of one branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BranchChange {
    pub(crate) place: Place,
    /// The branch that is meant, where that was looked up: another may have its name by now, and is left alone.
    pub(crate) number: Option<u64>,
    /// Where it has to end for this, if that matters.
    pub(crate) head: Option<u64>,
    pub(crate) what: Change,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing is appended any more.
    Close,
    /// It is gone, but for what its forks inherit.
    Delete,
    /// Events before this sequence are gone, but for what forks of before inherit.
    Truncate { before: Sequence },
    /// The store deletes it then, or no more.
    Expire(Option<Expiry>),
    /// It is deleted if it is due; otherwise its last use is written. Of one that is not there any more nothing becomes.
    Lapse,
}

/// Its attributes after the change; `None` when they are as they were. `head` is its last sequence.
pub(crate) fn changed(
    branch: &Branch,
    head: impl FnOnce() -> Result<u64>,
    what: Change,
    moment: &Moment,
) -> Result<Option<Attributes>> {
    branch.is_there()?;
    let now = moment.now;
    let before = &branch.attributes;
    let after = match what {
        Change::Close => Attributes { closed: before.closed.or(Some(now.micros())), ..before.clone() },
        Change::Delete => Attributes { deleted: Some(now.micros()), ..before.clone() },
        Change::Truncate { before: first } => {
            let (upto, head) = (first.get().saturating_sub(1), head()?);
            if upto > head {
                let address = Address::from((*branch.place).clone()).at(upto);
                return Err(Error::not_found("event", format!("{address}: the branch ends at {head}")));
            }
            Attributes { truncated: before.truncated.max(upto), ..before.clone() }
        }
        Change::Expire(expiry) => Expiry::put(expiry, before, moment.wall)?,
        Change::Lapse => lapsed(before, moment),
    };
    Ok((after != *before).then_some(after))
}

impl Branch {
    /// When it was deleted.
    pub(crate) fn deleted(&self) -> Option<i64> {
        self.attributes.deleted
    }

    /// # Errors
    /// [`Error::Deleted`].
    pub(crate) fn is_there(&self) -> Result<()> {
        match self.deleted() {
            None => Ok(()),
            Some(at) => Err(self.gone(at)),
        }
    }

    pub(crate) fn gone(&self, at: i64) -> Error {
        Error::Deleted { place: (*self.place).clone(), at: Timestamp::from_micros(at) }
    }

    /// The first sequence that can be read, once there is one.
    pub(crate) fn first(&self) -> u64 {
        self.attributes.truncated.saturating_add(1)
    }

    /// Whether its history can be read from this sequence on.
    ///
    /// # Errors
    /// [`Error::Deleted`], [`Error::Truncated`].
    pub(crate) fn holds_from(&self, from: u64) -> Result<()> {
        self.is_there()?;
        if from.max(1) < self.first() {
            let first = Sequence::new(self.first());
            return Err(Error::Truncated { place: (*self.place).clone(), first });
        }
        Ok(())
    }

    /// Whether an event of its own is still there for everybody, and not only for forks.
    pub(crate) fn shows(&self, sequence: u64) -> bool {
        self.deleted().is_none() && sequence >= self.first()
    }

    /// What it has of its own and of others, as if it was not deleted: who owns it, the first sequence and the last.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let first = self.first();
        let segments = self.lineage.iter().map(move |s| (s.branch, s.first.max(first), s.last));
        segments.filter(|(_, first, last)| first <= last)
    }
}

/// What is kept of the events that a branch owns: those that it shows, and those that others inherit and show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    first: u64,
    last: u64,
}

impl Kept {
    const NOTHING: Self = Self { first: u64::MAX, last: 0 };

    /// Whether any of these events is kept.
    pub(crate) fn touches(self, first: u64, last: u64) -> bool {
        self.first <= last && first <= self.last
    }

    /// Whether this event is kept.
    pub(crate) fn has(self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }
}

/// What is kept of each branch of a session.
#[derive(Debug, Default)]
pub(crate) struct KeptOf(HashMap<u64, Kept>);

impl KeptOf {
    /// Adds a branch that is not deleted.
    pub(crate) fn add(&mut self, branch: &Branch) {
        for (owner, first, last) in branch.shown() {
            let kept = self.0.entry(owner).or_insert(Kept::NOTHING);
            *kept = Kept { first: kept.first.min(first), last: kept.last.max(last) };
        }
    }

    pub(crate) fn of(&self, number: u64) -> Kept {
        self.0.get(&number).copied().unwrap_or(Kept::NOTHING)
    }
}
