//! The current branch of a session: the one that a person who names only the session means. A record that import and
//! `adopt` set; an append never moves it.

use crate::codec::CurrentRow;
use crate::engine::{Branch, Report, SidecarRange, SidecarTable, SidecarWrites};
use crate::error::{Error, Result};
use crate::event::{BranchName, Place, SessionId};
use crate::store::handle::reader::Reader;
use crate::store::handle::store::Store;
use crate::store::handle::store_handle::StoreHandle;
use crate::store::unblocked::unblocked;

impl Store {
    /// The current branch of a session: the one that was [adopted](Self::set_current), or that an import identified
    /// as the live one; otherwise `main`, also for a session that does not exist.
    /// It is
    /// the branch to show for a session with several branches. An address without a branch still names `main`, and an
    /// append never changes the current branch.
    ///
    /// ```
    /// use retold::{NewEvent, Store};
    ///
    /// let store = Store::in_memory()?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// store.fork("run-7@1", "retry")?;
    /// let session = "run-7".try_into()?;
    /// assert_eq!(store.current(&session)?.as_str(), "main");
    /// store.set_current(&session, &"retry".try_into()?)?;
    /// assert_eq!(store.current(&session)?.as_str(), "retry");
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Storage`](crate::Error::Storage). A record of it that is
    /// damaged, or that names a branch which does not exist, counts as none; [`verify`](crate::store::Maintenance::verify) reports it.
    pub fn current(&self, session: &SessionId) -> Result<BranchName> {
        let reader = self.reader()?;
        Ok(reader.current(session)?.unwrap_or_else(BranchName::main))
    }

    /// Makes a branch the current one of its session. Nothing else about the branch changes. When this returns, the
    /// choice is as durable as an append.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when there is no such branch,
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), and those of [`append`](Self::append) for the write.
    pub fn set_current(&self, session: &SessionId, branch: &BranchName) -> Result<()> {
        self.inner().write_records(self.making_current(session, branch)?)
    }

    /// [`set_current`](Self::set_current) as an async function. Cancellation as with [`append_async`](Self::append_async).
    ///
    /// # Errors
    /// As [`set_current`](Self::set_current).
    pub async fn set_current_async(&self, session: &SessionId, branch: &BranchName) -> Result<()> {
        self.inner().process().check()?;
        let (store, session, branch) = (self.clone(), session.clone(), branch.clone());
        let records = unblocked(move || store.making_current(&session, &branch)).await?;
        self.inner().write_records_async(records).await
    }

    fn making_current(&self, session: &SessionId, branch: &BranchName) -> Result<SidecarWrites> {
        let place = Place::new(session.clone(), branch.clone());
        let reader = self.reader()?;
        reader.branch(&place)?;
        current_record(&reader, &place)
    }
}

/// What makes this branch the current one of its session; or, where there is none, the next that has its names.
pub(crate) fn current_record(reader: &Reader, place: &Place) -> Result<SidecarWrites> {
    let before = match reader.last_named(place)? {
        Some(branch) if branch.deleted().is_some() => branch.attributes.incarnation.saturating_add(1),
        Some(branch) => branch.attributes.incarnation,
        None => 0,
    };
    let (key, value) = CurrentRow { place: place.clone(), before }.encode();
    let mut records = SidecarWrites::new();
    records.put(SidecarTable::Current, key, value);
    Ok(records)
}

/// Whether a row means this branch, which may have been deleted since, and not another of its names.
fn is_current(row: &CurrentRow, branch: &Branch) -> bool {
    branch.deleted().is_none() && branch.attributes.incarnation == row.before
}

/// Removes that a branch is the current one where that is deleted, whether another has its name by now or not.
pub(crate) fn forget_deleted_current(handle: &StoreHandle) -> Result<()> {
    let reader = handle.reader()?;
    reader.each_current(|key, value| {
        let Some(row) = CurrentRow::decode(&key, &value) else { return Ok(()) };
        if reader.last_named(&row.place)?.is_none_or(|branch| is_current(&row, &branch)) {
            return Ok(());
        }
        let mut records = SidecarWrites::new();
        records.expect(SidecarTable::Current, key.clone(), Some(value));
        records.remove(SidecarTable::Current, key);
        match handle.write_records(records) {
            // Another was made the current one.
            Err(Error::RecordChanged { .. }) => Ok(()),
            written => written,
        }
    })
}

impl Reader {
    /// The branch that was made current, if one was and it exists.
    pub(crate) fn current(&self, session: &SessionId) -> Result<Option<BranchName>> {
        let key = session.as_str().as_bytes();
        let value = match self.records().get(SidecarTable::Current, key) {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(None),
            Err(e) if e.is_damage() => return Ok(None),
            Err(e) => return Err(e),
        };
        let Some(row) = CurrentRow::decode(key, &value) else { return Ok(None) };
        Ok(self.find(&row.place)?.filter(|branch| is_current(&row, branch)).map(|_| row.place.branch))
    }

    /// Says which of these records name no branch that exists.
    pub(crate) fn verify_current(&self, report: &mut Report) -> Result<()> {
        self.each_current(|key, value| {
            match CurrentRow::decode(&key, &value).map(|row| row.place) {
                // One that is deleted is not current any more: the next purge removes the row.
                Some(place) if self.last_named(&place)?.is_some() => {}
                Some(place) => report.problem(
                    format!("current branch of {}", place.session),
                    format!("it is {}, which does not exist", place.branch),
                ),
                None => report.problem(
                    format!("row {} of current", key.escape_ascii()),
                    "it does not name a session and a branch",
                ),
            }
            Ok(())
        })
    }

    /// The key and the value of each record that can be read.
    fn each_current(&self, mut take: impl FnMut(Vec<u8>, Vec<u8>) -> Result<()>) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = SidecarRange { after: after.as_deref(), ..SidecarRange::under(b"", PAGE) };
            let rows = self.records().rows(SidecarTable::Current, &rows)?;
            let Some(last) = rows.last() else { return Ok(()) };
            let next = Some(last.key.clone());
            for row in rows {
                // One that does not decode is reported with the other records.
                let Ok(value) = row.value else { continue };
                take(row.key, value)?;
            }
            after = next;
        }
    }
}

/// Records that are read at a time.
const PAGE: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{SidecarTable, SidecarWrites};

    fn session() -> SessionId {
        "s".try_into().unwrap()
    }

    #[test]
    fn an_append_does_not_move_it_and_it_outlives_the_handle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current.redb");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.current(&session()).unwrap(), BranchName::main());
        store.append("s", vec![NewEvent::new("a"), NewEvent::new("a")]).unwrap();
        store.fork("s@1", "b").unwrap();
        assert_eq!(store.current(&session()).unwrap(), BranchName::main());
        store.set_current(&session(), &"b".try_into().unwrap()).unwrap();
        store.append("s", NewEvent::new("a")).unwrap();
        store.fork("s@1", "c").unwrap();
        store.append("s/c", NewEvent::new("a")).unwrap();
        assert_eq!(store.current(&session()).unwrap().as_str(), "b");
        // An address without a branch is main all the same.
        assert_eq!(store.head("s").unwrap().get(), 3);
        store.close().unwrap();
        let store = Store::builder().read_only().open(&path).unwrap();
        assert_eq!(store.current(&session()).unwrap().as_str(), "b");
        assert!(store.maintenance().verify().unwrap().is_clean());
        let refused = store.set_current(&session(), &BranchName::main());
        assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    }

    #[test]
    fn a_branch_that_does_not_exist_cannot_be_current() {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("a")).unwrap();
        for (session, branch) in [("s", "b"), ("t", "main")] {
            let session = session.try_into().unwrap();
            let refused = store.set_current(&session, &branch.try_into().unwrap());
            assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
        }
        assert_eq!(store.current(&session()).unwrap(), BranchName::main());
    }

    #[test]
    fn a_record_that_names_nothing_counts_as_none_and_is_reported() {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("a")).unwrap();
        for (key, value, reported) in [
            (&b"s"[..], &b"gone"[..], "current branch of s: it is gone, which does not exist"),
            (b"s", b"a/b", "row s of current: it does not name a session and a branch"),
            (b"s", b"main\0\x01", "row s of current: it does not name a session and a branch"),
            (b"s", b"\xff", "row s of current: it does not name a session and a branch"),
        ] {
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Current, key.to_vec(), value.to_vec());
            store.write_records(records).unwrap();
            assert_eq!(store.current(&session()).unwrap(), BranchName::main());
            store.maintenance().flush().unwrap();
            let found: Vec<String> =
                store.maintenance().verify().unwrap().problems.iter().map(ToString::to_string).collect();
            assert_eq!(found, [reported]);
        }
        // A new choice puts it right.
        store.set_current(&session(), &BranchName::main()).unwrap();
        assert!(store.maintenance().verify().unwrap().is_clean());
    }

    #[tokio::test]
    async fn tasks_set_it_too() {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("a")).unwrap();
        store.fork("s@1", "b").unwrap();
        store.set_current_async(&session(), &"b".try_into().unwrap()).await.unwrap();
        assert_eq!(store.current(&session()).unwrap().as_str(), "b");
    }
}
