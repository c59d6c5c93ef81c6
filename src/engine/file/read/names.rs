//! Some names, found by looking at a bounded number of rows.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::file_reader::FileReader;
use crate::engine::branch::Branch;
use crate::engine::file::tables::definitions::BRANCHES;
use crate::engine::file::tables::lookup;
use crate::engine::get::NamesFound;
use crate::error::Result;
use crate::event::{BranchName, Place, SessionId};
use crate::limits::MAX_NAME_BYTES;

impl FileReader {
    /// Up to `limit` names of sessions, or of the branches of one, after this name, out of so many rows of the table. What is
    /// not in the table yet is in memory, and bounded by that.
    pub(crate) fn some_names(
        &self,
        of: Option<&SessionId>,
        after: Option<&str>,
        limit: usize,
        rows: usize,
    ) -> Result<NamesFound> {
        let mut names = self.names_in_tail(of, after)?;
        let mut left = rows;
        let txn = self.db.begin_read()?;
        let table = lookup::open(&txn, BRANCHES)?;
        // After every branch of the session: a name is shorter than this.
        let last = char::MAX.to_string().repeat(MAX_NAME_BYTES.div_ceil(char::MAX.len_utf8()) + 1);
        let mut start: (String, String) = match (of, after) {
            (Some(session), after) => (session.to_string(), after.unwrap_or_default().to_owned()),
            (None, Some(after)) => (after.to_owned(), last.clone()),
            (None, None) => (String::new(), String::new()),
        };
        let (mut found, mut is_cut) = (0, false);
        // The name of the last row that was looked at.
        let mut looked_at = String::new();
        'search: while found < limit {
            let from = Bound::Excluded((start.0.as_str(), start.1.as_str()));
            let mut next = None;
            for row in lookup::rows(&table, (from, Bound::Unbounded))? {
                let (key, _) = row?;
                let (session, branch) = key.value();
                if of.is_some_and(|of| of.as_str() != session) {
                    break;
                }
                if left == 0 {
                    is_cut = true;
                    break;
                }
                left -= 1;
                looked_at.clear();
                looked_at.push_str(if of.is_some() { branch } else { session });
                let place = Place::new(SessionId::new(session)?, BranchName::new(branch)?);
                if self.contents.has_changes() && self.find(&place)?.is_none_or(|b| b.deleted().is_some()) {
                    continue;
                }
                found += 1;
                next = Some(place);
                break;
            }
            let Some(place) = next else { break 'search };
            names.insert(if of.is_some() { place.branch.to_string() } else { place.session.to_string() });
            start = match of {
                Some(session) => (session.to_string(), place.branch.to_string()),
                None => (place.session.to_string(), last.clone()),
            };
        }
        if is_cut {
            // Between it and a later name of the tail may be rows that were not looked at.
            names.retain(|name| *name <= looked_at);
        }
        let is_cut = is_cut && names.len() < limit;
        Ok(NamesFound { names: names.into_iter().take(limit).collect(), is_cut })
    }

    fn names_in_tail(&self, of: Option<&SessionId>, after: Option<&str>) -> Result<BTreeSet<String>> {
        let tail = self.contents.tail()?;
        let is_there = |b: &&Arc<Branch>| tail.named(&b.place).is_none_or(|last| last.deleted().is_none());
        let is_after = |name: &&str| after.is_none_or(|after| *name > after);
        let born = tail.births().filter(is_there);
        Ok(match of {
            Some(session) => {
                let names = born.filter(|b| b.place.session == *session).map(|b| b.place.branch.as_str());
                names.filter(is_after).map(str::to_owned).collect()
            }
            None => born.map(|b| b.place.session.as_str()).filter(is_after).map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
#[cfg(all(unix, feature = "testkit"))]
mod tests {
    use crate::engine::file::tables::lookup::ROWS_READ;
    use crate::event::{BranchName, NewEvent, SessionId};
    use crate::store::{Store, names};
    use crate::testkit::{Disk, Sharing};

    /// A store where so many sessions, and so many branches of one, were deleted, and a few were not.
    fn store(gone: usize) -> Store {
        with(Store::builder().with_backend(Disk::new().backend()).unwrap(), gone)
    }

    fn with(store: Store, gone: usize) -> Store {
        for kept in ["aa", "zz"] {
            store.append(kept, NewEvent::new("a.b")).unwrap();
        }
        for n in 0..gone {
            store.append(format!("m{n:05}").as_str(), NewEvent::new("a.b")).unwrap();
            store.fork("aa@1", &format!("m{n:05}")).unwrap();
        }
        store.fork("aa@1", "zz").unwrap();
        store.maintenance().flush().unwrap();
        for n in 0..gone {
            store.lifecycle().delete(format!("m{n:05}").as_str()).unwrap();
            store.lifecycle().delete(format!("aa/m{n:05}").as_str()).unwrap();
        }
        store.maintenance().flush().unwrap();
        store
    }

    #[test]
    fn what_is_deleted_is_passed_over_and_counted() {
        let owner = store(40);
        let sharing = Sharing::of(&owner, None).unwrap();
        for store in
            [with(Store::in_memory().unwrap(), 40), sharing.client(Store::builder()).unwrap(), owner.clone()]
        {
            passes_over(&store);
        }
    }

    fn passes_over(store: &Store) {
        let aa = SessionId::new("aa").unwrap();
        let sessions = names::sessions(store, None, 10).unwrap();
        assert_eq!((sessions.names, sessions.is_cut), (vec!["aa".to_owned(), "zz".to_owned()], false));
        let after = names::sessions(store, Some(&aa), 10).unwrap();
        assert_eq!(after.names, ["zz"]);
        assert_eq!(names::branches(store, &aa, None, 10).unwrap().names, ["main", "zz"]);
        let main = BranchName::main();
        assert_eq!(names::branches(store, &aa, Some(&main), 1).unwrap().names, ["zz"]);
        let reader = store.reader().unwrap();
        for (of, after, rows) in [(None, Some("aa"), 39), (None, None, 40), (Some(&aa), None, 39)] {
            let cut = reader.some_names(of, after, 10, rows).unwrap();
            assert!(cut.is_cut && cut.names.is_empty(), "{cut:?}");
        }
        let found = reader.some_names(Some(&aa), None, 10, 41).unwrap();
        assert!(found.is_cut && found.names == ["main"], "{found:?}");
    }

    #[test]
    fn a_search_that_is_cut_leaves_out_what_comes_later_in_the_tail() {
        let (memory, owner) = (with(Store::in_memory().unwrap(), 40), store(40));
        let sharing = Sharing::of(&owner, None).unwrap();
        let client = sharing.client(Store::builder()).unwrap();
        for (store, name) in [(&memory, "ab"), (&memory, "y"), (&owner, "ab"), (&owner, "y")] {
            store.append(name, NewEvent::new("a.b")).unwrap();
            store.fork("aa@1", name).unwrap();
        }
        for store in [&memory, &owner, &client] {
            let aa = SessionId::new("aa").unwrap();
            let reader = store.reader().unwrap();
            for (of, after) in [(None, Some("aa")), (Some(&aa), None)] {
                let cut = reader.some_names(of, after, 10, 39).unwrap();
                assert!(cut.is_cut && cut.names == ["ab"], "{cut:?}");
                let full = reader.some_names(of, after, 1, 39).unwrap();
                assert!(!full.is_cut && full.names == ["ab"], "{full:?}");
            }
            let all = reader.some_names(None, Some("aa"), 10, 100).unwrap();
            assert!(!all.is_cut && all.names == ["ab", "y", "zz"], "{all:?}");
        }
    }

    #[test]
    fn the_rows_that_are_looked_at_do_not_grow_with_what_was_deleted() {
        let looked_at = |gone| {
            let (store, rows) = (store(gone), 50);
            let reader = store.reader().unwrap();
            let before = ROWS_READ.get();
            let found = reader.some_names(None, Some("aa"), 5, rows).unwrap();
            assert!(found.is_cut && found.names.is_empty(), "{found:?}");
            ROWS_READ.get() - before
        };
        assert_eq!(looked_at(100), looked_at(400));
    }
}
