//! Ids of events in their order: those of the tail merged with those of the tables, so that a search ends where it has enough.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

use super::file_reader::FileReader;
use crate::engine::file::tables::ids::flushed_ids;
use crate::engine::gone_ids::GoneIds;
use crate::error::Result;
use crate::event::EventId;

impl FileReader {
    pub(crate) fn ids_between(&self, from: EventId, to: EventId, limit: usize) -> Result<Vec<EventId>> {
        if from > to || limit == 0 {
            return Ok(Vec::new());
        }
        // Copied before the transaction begins, as in every read.
        let in_tail = self.contents.tail()?.ids_between(from, to);
        let mut recent = BTreeMap::new();
        for (id, branch, sequence) in in_tail {
            let shows = self.shows(branch, sequence)?;
            *recent.entry(id).or_insert(false) |= shows;
        }
        let recent = recent.into_iter().peekable();
        let mut merge = Merge { recent, ids: Vec::new(), gone: GoneIds::default(), limit };
        let txn = self.db.begin_read()?;
        let place = |number| Ok(self.by_number(number)?.place.clone());
        let take = |id, number, sequence| merge.flushed(id, self.shows(number, sequence)?);
        flushed_ids(&txn, (from, to), take, place)?;
        merge.end()
    }
}

struct Merge {
    /// Those of the tail, each with whether its event is there.
    recent: Peekable<btree_map::IntoIter<EventId, bool>>,
    /// Those that were found.
    ids: Vec<EventId>,
    gone: GoneIds,
    limit: usize,
}

impl Merge {
    /// Takes the next id of the tables, after those of the tail before it. `false` once there are enough.
    fn flushed(&mut self, id: EventId, shows: bool) -> Result<bool> {
        while let Some((recent, shows)) = self.recent.next_if(|(recent, _)| *recent < id) {
            if !self.take(recent, shows)? {
                return Ok(false);
            }
        }
        let same = self.recent.next_if(|(recent, _)| *recent == id);
        self.take(id, shows || same.is_some_and(|(_, shows)| shows))
    }

    fn take(&mut self, id: EventId, shows: bool) -> Result<bool> {
        match shows {
            true => self.ids.push(id),
            false => self.gone.count()?,
        }
        Ok(self.ids.len() < self.limit)
    }

    /// All that were found, with the rest of the tail.
    fn end(mut self) -> Result<Vec<EventId>> {
        while self.ids.len() < self.limit
            && let Some((id, shows)) = self.recent.next()
        {
            self.take(id, shows)?;
        }
        Ok(self.ids)
    }
}
