//! Reading and setting the current branch of a session.

use crate::error::Result;
use crate::event::{BranchName, Place, SessionId};
use crate::store::engine::read::current::current_mark;
use crate::store::engine::trouble::guarded;
use crate::store::handle::store::Store;
use crate::store::sidecar::SidecarWrites;
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
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Storage`](crate::Error::Storage). A damaged record, or one
    /// that names a branch which does not exist, is ignored; [`verify`](Self::verify) reports it.
    pub fn current(&self, session: &SessionId) -> Result<BranchName> {
        let reader = self.reader()?;
        guarded(|| Ok(reader.current(session)?.unwrap_or_else(BranchName::main)))
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
        guarded(|| reader.branch(&place))?;
        Ok(current_mark(&place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
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
        assert!(store.verify().unwrap().is_clean());
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
            (b"s", b"\xff", "row s of current: it does not name a session and a branch"),
        ] {
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Current, key.to_vec(), value.to_vec());
            store.write_records(records).unwrap();
            assert_eq!(store.current(&session()).unwrap(), BranchName::main());
            store.flush().unwrap();
            let found: Vec<String> =
                store.verify().unwrap().problems.iter().map(ToString::to_string).collect();
            assert_eq!(found, [reported]);
        }
        // A new choice puts it right.
        store.set_current(&session(), &BranchName::main()).unwrap();
        assert!(store.verify().unwrap().is_clean());
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
