//! Listings of sessions and branches, from the tables and the tail together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::error::Result;
use crate::event::{BranchName, Place, Sequence, SessionId, Timestamp};
use crate::store::branch::Branch;
use crate::store::engine::tables::definitions::BRANCHES;
use crate::store::engine::tables::lazy::Lazy;
use crate::store::engine::tables::lines::belongs;
use crate::store::engine::tables::lookup;
use crate::store::engine::tables::view::flushed_head;

/// One session in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub session: SessionId,
    /// When its first branch was created.
    pub created: Timestamp,
    /// When its latest event was recorded; `None` if it has no events.
    pub last: Option<Timestamp>,
    /// The head of `main`.
    pub head: Sequence,
    /// Its [current](crate::store::Store::current) branch.
    pub current: BranchName,
    /// Events of all its branches; inherited ones are counted once.
    pub events: u64,
    /// How many branches it has.
    pub branches: u64,
}

/// One branch in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchInfo {
    /// Its names.
    pub place: Place,
    /// The branch that it was forked from, and the last sequence that it inherits.
    pub parent: Option<(BranchName, Sequence)>,
    /// When it was created.
    pub created: Timestamp,
    /// When its latest own event was recorded; `None` if it has none.
    pub last: Option<Timestamp>,
    /// Its last sequence, including inherited events.
    pub head: Sequence,
    /// Events of its own.
    pub events: u64,
}

impl FileReader {
    /// Up to `limit` sessions after this one, in the order of their names.
    pub(crate) fn sessions(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionInfo>> {
        let txn = Lazy::new(&self.db);
        let records = self.records()?;
        let mut sessions: Vec<SessionInfo> = Vec::new();
        for place in self.places_after(after, limit, &txn)? {
            let Some(branch) = self.find(&place)? else { continue };
            let info = self.info_of(&branch)?;
            match sessions.last_mut().filter(|s| s.session == place.session) {
                Some(s) => {
                    s.created = s.created.min(info.created);
                    s.last = s.last.max(info.last);
                    s.events += info.events;
                    s.branches += 1;
                    if place.branch.as_str() == crate::event::MAIN {
                        s.head = info.head;
                    }
                }
                None => sessions.push(SessionInfo {
                    current: self.current_in(&records, &place.session)?.unwrap_or_else(BranchName::main),
                    session: place.session,
                    created: info.created,
                    last: info.last,
                    head: if place.branch.as_str() == crate::event::MAIN {
                        info.head
                    } else {
                        Sequence::ZERO
                    },
                    events: info.events,
                    branches: 1,
                }),
            }
        }
        Ok(sessions)
    }

    /// Up to `limit` names of sessions after this one.
    pub(crate) fn session_names(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionId>> {
        let places = self.places_after(after, limit, &Lazy::new(&self.db))?;
        let mut names: Vec<SessionId> = places.into_iter().map(|place| place.session).collect();
        names.dedup();
        Ok(names)
    }

    /// Names of all branches of the next `limit` sessions, sorted.
    fn places_after(&self, after: Option<&SessionId>, limit: usize, txn: &Lazy<'_>) -> Result<Vec<Place>> {
        let mut places: BTreeMap<Place, ()> = BTreeMap::new();
        {
            let tail = self.contents.tail()?;
            let wanted = |b: &&Arc<Branch>| after.is_none_or(|a| b.place.session > *a);
            places.extend(tail.births().filter(wanted).map(|b| ((*b.place).clone(), ())));
        }
        let table = lookup::open(&*txn.get()?, BRANCHES)?;
        let start = after.map_or("", SessionId::as_str);
        let (mut seen, mut current) = (0, None::<SessionId>);
        self.nothing_before(&table, (start, ""), txn)?;
        for row in lookup::rows(&table, (start, "")..)? {
            let (key, _) = row?;
            let (session, branch) = key.value();
            if after.is_some_and(|a| a.as_str() == session) {
                continue;
            }
            let session = SessionId::new(session)?;
            if current.as_ref() != Some(&session) {
                seen += 1;
                if seen > limit {
                    break;
                }
                current = Some(session.clone());
            }
            places.insert(Place::new(session, BranchName::new(branch)?), ());
        }
        // The tail may have put sessions between; what lies beyond the page is cut off.
        let (mut seen, mut current) = (0, None::<SessionId>);
        Ok(places
            .into_keys()
            .take_while(|p| {
                if current.as_ref() != Some(&p.session) {
                    seen += 1;
                    current = Some(p.session.clone());
                }
                seen <= limit
            })
            .collect())
    }

    /// All branches of a session, by name.
    pub(crate) fn branches_of(&self, session: &SessionId) -> Result<Vec<Arc<Branch>>> {
        let mut found: BTreeMap<Place, ()> = BTreeMap::new();
        {
            let tail = self.contents.tail()?;
            found.extend(
                tail.births().filter(|b| b.place.session == *session).map(|b| ((*b.place).clone(), ())),
            );
        }
        let txn = Lazy::new(&self.db);
        let table = lookup::open(&*txn.get()?, BRANCHES)?;
        self.nothing_before(&table, (session.as_str(), ""), &txn)?;
        for row in lookup::rows(&table, (session.as_str(), "")..)? {
            let (key, number) = row?;
            let (owner, branch) = key.value();
            if owner != session.as_str() {
                belongs(key.value(), number.value(), &*txn.get()?)?;
                break;
            }
            found.insert(Place::new(session.clone(), BranchName::new(branch)?), ());
        }
        found.into_keys().filter_map(|place| self.find(&place).transpose()).collect()
    }

    /// A name that is damaged may lie before those that it belongs to.
    fn nothing_before(
        &self,
        table: &redb::ReadOnlyTable<(&'static str, &'static str), u64>,
        names: (&str, &str),
        txn: &Lazy<'_>,
    ) -> Result<()> {
        match lookup::rows(table, ..names)?.next_back().transpose()? {
            None => Ok(()),
            Some((names, number)) => belongs(names.value(), number.value(), &*txn.get()?),
        }
    }

    /// What a listing says of a branch.
    pub(crate) fn info_of(&self, branch: &Branch) -> Result<BranchInfo> {
        // A transaction that began before the tail was asked would not have what flushed in between: twice here.
        let txn = Lazy::new(&self.db);
        let newest = self
            .contents
            .tail()?
            .last_event(branch.number)
            .map(|e| (e.sequence().get(), e.recorded().micros()));
        let newest = match newest {
            Some(newest) => Some(newest),
            None => flushed_head(&*txn.get()?, branch.number)?.map(|row| (row.head, row.recorded)),
        };
        let head = newest.map_or(branch.fork, |(head, _)| head);
        let parent = match branch.parent {
            Some(number) => Some((
                self.by_number(number, &Lazy::new(&self.db))?.place.branch.clone(),
                Sequence::new(branch.fork),
            )),
            None => None,
        };
        Ok(BranchInfo {
            place: (*branch.place).clone(),
            parent,
            created: Timestamp::from_micros(branch.created),
            last: newest.map(|(_, recorded)| Timestamp::from_micros(recorded)),
            head: Sequence::new(head),
            events: head - branch.fork,
        })
    }
}
