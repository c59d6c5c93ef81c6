//! Listings of sessions and branches.

use std::sync::Arc;

use crate::engine::{Branch, End, Expiry, due};
use crate::error::Result;
use crate::event::{BranchName, MAIN, Place, Sequence, SessionId, Timestamp};
use crate::store::append::batch::Batch;
use crate::store::handle::reader::Reader;

/// One session of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// When its first branch was made.
    pub created: Timestamp,
    /// When its latest event was recorded; `None` when it has no event.
    pub last: Option<Timestamp>,
    /// The head of `main`.
    pub head: Sequence,
    /// Its [current](crate::store::Store::current) branch.
    pub current: BranchName,
    /// Events of all its branches; inherited ones count once.
    pub events: u64,
    /// How many branches it has.
    pub branches: u64,
}

/// One branch of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchInfo {
    /// Its names.
    pub place: Place,
    /// The branch that it was forked from, and the last sequence that it inherits.
    pub parent: Option<(BranchName, Sequence)>,
    /// Whether that branch was [deleted](crate::lifecycle::BranchLifecycle::delete) since: what has the name now is another.
    pub parent_deleted: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its own latest event was recorded; `None` when it has none of its own.
    pub last: Option<Timestamp>,
    /// Its last sequence, inherited ones counted.
    pub head: Sequence,
    /// Events of its own.
    pub events: u64,
    /// The first sequence that can be read; greater than 1 once it was [truncated](crate::lifecycle::BranchLifecycle::truncate).
    pub first: Sequence,
    /// When it was [closed](crate::lifecycle::BranchLifecycle::close); `None` while it can be appended to.
    pub closed: Option<Timestamp>,
    /// When the store [deletes](crate::lifecycle::BranchLifecycle::expire) it by itself.
    pub expiry: Option<Expiry>,
    /// When that is, unless it is used until then, as far as its uses are written.
    pub expires: Option<Timestamp>,
    pub(crate) number: u64,
}

impl BranchInfo {
    /// `is_there`: whether the branch with this number is not deleted.
    pub(crate) fn new(branch: &Branch, end: End, is_there: impl FnOnce(u64) -> bool) -> Self {
        let parent = branch.parent_name.clone().map(|name| (name, Sequence::new(branch.fork)));
        Self {
            place: (*branch.place).clone(),
            parent,
            parent_deleted: branch.parent.is_some_and(|number| !is_there(number)),
            created: Timestamp::from_micros(branch.created),
            last: end.recorded.map(Timestamp::from_micros),
            head: Sequence::new(end.head),
            events: (end.head + 1).saturating_sub(end.first.max(branch.fork + 1)),
            first: Sequence::new(end.first),
            closed: branch.attributes.closed.map(Timestamp::from_micros),
            expiry: Expiry::of(&branch.attributes),
            expires: due(&branch.attributes).map(Timestamp::from_micros),
            number: branch.number,
        }
    }
}

impl Batch {
    /// What was added last is only for this branch. If it is deleted by then, nothing of the batch is recorded, also when
    /// another has its name; and no branch begins.
    ///
    /// ```
    /// use retold::{Batch, Error, Expect, NewEvent, Store};
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let first = store.branch("run-7")?;
    /// store.lifecycle().delete("run-7")?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let late = Batch::new().add("run-7", Expect::Any, NewEvent::new("run.completed"))?.only(&first);
    /// assert!(matches!(store.append_batch(late), Err(Error::Deleted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn only(self, branch: &BranchInfo) -> Self {
        self.only_number(Some(branch.number))
    }
}

impl Reader {
    /// What a listing says of a branch.
    pub(crate) fn info_of(&self, branch: &Branch) -> Result<BranchInfo> {
        let named = match &branch.parent_name {
            Some(name) => self.last_named(&Place::new(branch.place.session.clone(), name.clone()))?,
            None => None,
        };
        let parent = named.filter(|parent| parent.deleted().is_none()).map(|parent| parent.number);
        Ok(BranchInfo::new(branch, self.end(branch)?, |number| parent == Some(number)))
    }

    /// The branches of a session in a listing; none when there is no such session.
    pub(crate) fn infos_of(&self, session: &SessionId) -> Result<Vec<BranchInfo>> {
        let branches = self.ends_of(session)?;
        let is_there = |number| branches.iter().any(|(branch, _)| branch.number == number);
        Ok(branches.iter().map(|(branch, end)| BranchInfo::new(branch, *end, is_there)).collect())
    }

    /// Up to `limit` sessions after this one, in the order of their names.
    pub(crate) fn sessions(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionInfo>> {
        self.gathered(self.branches_after(after, limit)?)
    }

    /// One session, unless there is none of this name.
    pub(crate) fn session(&self, session: &SessionId) -> Result<Option<SessionInfo>> {
        Ok(self.gathered(self.ends_of(session)?)?.pop())
    }

    /// The sessions of these branches, which come in the order of their names.
    fn gathered(&self, branches: Vec<(Arc<Branch>, End)>) -> Result<Vec<SessionInfo>> {
        let mut sessions: Vec<SessionInfo> = Vec::new();
        for (branch, end) in branches {
            let info = BranchInfo::new(&branch, end, |_| true);
            let is_main = info.place.branch.as_str() == MAIN;
            match sessions.last_mut().filter(|s| s.session == info.place.session) {
                Some(s) => {
                    s.created = s.created.min(info.created);
                    s.last = s.last.max(info.last);
                    s.events += info.events;
                    s.branches += 1;
                    if is_main {
                        s.head = info.head;
                    }
                }
                None => sessions.push(SessionInfo {
                    current: self.current(&info.place.session)?.unwrap_or_else(BranchName::main),
                    session: info.place.session,
                    created: info.created,
                    last: info.last,
                    head: if is_main { info.head } else { Sequence::ZERO },
                    events: info.events,
                    branches: 1,
                }),
            }
        }
        Ok(sessions)
    }
}
