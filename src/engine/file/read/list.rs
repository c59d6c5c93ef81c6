//! Listings of sessions and branches, from the tables and the tail together.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::engine::branch::Branch;
use crate::engine::file::in_memory::tail::Tail;
use crate::engine::file::tables::definitions::BRANCHES;
use crate::engine::file::tables::lazy::Lazy;
use crate::engine::file::tables::lines::belongs;
use crate::engine::file::tables::lookup;
use crate::engine::get::End;
use crate::error::{Error, Result};
use crate::event::{BranchName, Place, SessionId};

impl FileReader {
    /// All branches of up to `limit` sessions after this one, by name, each with its end.
    pub(crate) fn branches_after(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<(Arc<Branch>, End)>> {
        let places = self.places_after(after, limit, &Lazy::new(&self.db))?;
        self.ended(places.iter())
    }

    /// Those of these branches that exist, each with its end.
    fn ended<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Result<Vec<(Arc<Branch>, End)>> {
        let mut ended = Vec::new();
        for place in places {
            let Some(branch) = self.find(place)? else { continue };
            if branch.deleted().is_some() {
                continue;
            }
            let end = match self.end(&branch) {
                // Deleted meanwhile.
                Err(Error::Deleted { .. }) => continue,
                end => end?,
            };
            ended.push((branch, end));
        }
        Ok(ended)
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
        let mut places: BTreeSet<Place> = BTreeSet::new();
        {
            let tail = self.contents.tail()?;
            let is_there = |b: &Arc<Branch>| tail.named(&b.place).is_none_or(|last| last.deleted().is_none());
            let wanted = |b: &&Arc<Branch>| after.is_none_or(|a| b.place.session > *a) && is_there(b);
            places.extend(tail.births().filter(wanted).map(|b| (*b.place).clone()));
        }
        let table = lookup::open(&*txn.get()?, BRANCHES)?;
        let start = after.map_or("", SessionId::as_str);
        let (mut seen, mut current) = (0, None::<SessionId>);
        nothing_before(&table, (start, ""), &*txn.get()?)?;
        for row in lookup::rows(&table, (start, "")..)? {
            let (key, _) = row?;
            let (session, branch) = key.value();
            if after.is_some_and(|a| a.as_str() == session) {
                continue;
            }
            let session = SessionId::new(session)?;
            let place = Place::new(session.clone(), BranchName::new(branch)?);
            if self.contents.has_changes() && self.find(&place)?.is_none_or(|b| b.deleted().is_some()) {
                continue;
            }
            if current.as_ref() != Some(&session) {
                seen += 1;
                if seen > limit {
                    break;
                }
                current = Some(session);
            }
            places.insert(place);
        }
        // The tail may have added sessions; what exceeds the limit is dropped.
        let (mut seen, mut current) = (0, None::<SessionId>);
        Ok(places
            .into_iter()
            .take_while(|p| {
                if current.as_ref() != Some(&p.session) {
                    seen += 1;
                    current = Some(p.session.clone());
                }
                seen <= limit
            })
            .collect())
    }

    /// All branches of a session, by name, each with its end.
    pub(crate) fn branches_of(&self, session: &SessionId) -> Result<Vec<(Arc<Branch>, End)>> {
        let born = born_of(session, &*self.contents.tail()?);
        let places = places_of(session, born, &*self.db.begin_read()?)?;
        self.ended(places.iter())
    }
}

/// Names of branches of a session that began in the tail.
pub(crate) fn born_of(session: &SessionId, tail: &Tail) -> BTreeSet<Place> {
    tail.births().filter(|b| b.place.session == *session).map(|b| (*b.place).clone()).collect()
}

/// Names of all branches of a session, sorted: those in the tables, and these, which are from before.
pub(crate) fn places_of(
    session: &SessionId,
    mut found: BTreeSet<Place>,
    txn: &redb::ReadTransaction,
) -> Result<BTreeSet<Place>> {
    let table = lookup::open(txn, BRANCHES)?;
    nothing_before(&table, (session.as_str(), ""), txn)?;
    for row in lookup::rows(&table, (session.as_str(), "")..)? {
        let (key, number) = row?;
        let (owner, branch) = key.value();
        if owner != session.as_str() {
            belongs(key.value(), number.value(), txn)?;
            break;
        }
        found.insert(Place::new(session.clone(), BranchName::new(branch)?));
    }
    Ok(found)
}

/// A damaged name may lie just before the names that it belongs to.
fn nothing_before(
    table: &redb::ReadOnlyTable<(&'static str, &'static str), u64>,
    names: (&str, &str),
    txn: &redb::ReadTransaction,
) -> Result<()> {
    match lookup::rows(table, ..names)?.next_back().transpose()? {
        None => Ok(()),
        Some((names, number)) => belongs(names.value(), number.value(), txn),
    }
}
