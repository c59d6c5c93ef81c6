//! The handle to what is done with the file as a whole.

use std::path::Path;

use super::backup::backup;
use super::compact::compact;
use super::info::{StoreInfo, info};
use super::survey::{Survey, survey};
use super::verify::verify;
use crate::engine::{Backup, Compaction, Problem, Report, Upgraded};
use crate::error::Result;
use crate::store::handle::store::Store;

/// What is asked of a store's file, and done with it: figures, checks, and moving the journal into the tables.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
///
/// ```
/// use retold::{NewEvent, Store};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path().join("runs.redb"))?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// let maintenance = store.maintenance();
/// maintenance.flush()?;
/// assert_eq!((maintenance.info()?.events, maintenance.info()?.in_journal), (1, 0));
/// assert!(maintenance.verify()?.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Maintenance {
    store: Store,
}

impl Store {
    /// Figures of the store, checks of its file, and what else is done with it as a whole.
    #[must_use]
    pub fn maintenance(&self) -> Maintenance {
        Maintenance { store: self.clone() }
    }
}

impl Maintenance {
    /// Figures of this store. The cost does not depend on how much is in it, except for a store of format 1 that is
    /// only read: that is walked.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn info(&self) -> Result<StoreInfo> {
        info(&self.store)
    }

    /// [`info`](Self::info) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub async fn info_async(&self) -> Result<StoreInfo> {
        self.store.in_task(info).await
    }

    /// What could not be read as the store was opened: only a store that is opened read-only goes without it. Commits
    /// that are missing are those after the last one that can be read. Where a table does not agree with the others, it
    /// may be an earlier state of itself or empty: what it leads to can then be missing from what is read.
    ///
    /// A store that may lack something for either reason answers [`Error::Corrupt`](crate::Error::Corrupt) for an event,
    /// session or branch that it does not find.
    #[must_use]
    pub fn damage(&self) -> Vec<Problem> {
        self.store.inner().identity().damage.clone()
    }

    /// What became of the file as this handle opened it, if it was of an earlier format.
    #[must_use]
    pub fn upgraded(&self) -> Option<Upgraded> {
        self.store.inner().identity().upgraded.clone()
    }

    /// Moves everything that is in the journal into the tables, now. The store does this on its own.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn flush(&self) -> Result<()> {
        self.store.inner().admin()?.flush()
    }

    /// [`flush`](Self::flush) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn flush_async(&self) -> Result<()> {
        self.store.inner().admin()?.flush_async().await
    }

    /// Walks everything: chunks and frames decode, sequences and positions are dense, forks point at what exists,
    /// heads, global order and ids agree with the events, sidecar records are what their keys promise, current branches
    /// exist. Reads go on meanwhile, and so do appends, which the walk does not see.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), or [`Error::Storage`](crate::Error::Storage) when the walk itself is
    /// stopped. What is wrong is in the report.
    pub fn verify(&self) -> Result<Report> {
        self.verify_with(|_, _| {})
    }

    /// [`verify`](Self::verify) for tasks. Dropping the future does not stop the walk, which keeps the store open until
    /// it ends.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_async(&self) -> Result<Report> {
        self.verify_with_async(|_, _| {}).await
    }

    /// [`verify`](Self::verify), telling as it goes how many flushed events of how many it has seen.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_with(&self, progress: impl FnMut(u64, u64)) -> Result<Report> {
        verify(&self.store, progress)
    }

    /// [`verify_with`](Self::verify_with) for tasks; `progress` is called on the thread that reads. Cancellation as with
    /// [`verify_async`](Self::verify_async).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_with_async(&self, progress: impl FnMut(u64, u64) + Send + 'static) -> Result<Report> {
        self.store.in_task(move |store| verify(store, progress)).await
    }

    /// Copies everything that is committed now into a new file, and checks the copy. The store goes on meanwhile; what is
    /// recorded after the call began may or may not be in the copy, each commit as a whole. The copy is a store with the same
    /// id, so cursors and tokens work in it: to restore it, copy it to where a store is expected while nobody has that open.
    ///
    /// While it copies, the file does not reuse the space of what changes, so it grows with what is written meanwhile.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) when there is something under that name,
    /// [`Error::Corrupt`](crate::Error::Corrupt) when the store or its copy is damaged, [`Error::Storage`](crate::Error::Storage),
    /// [`Error::Closed`](crate::Error::Closed). After an error there is no copy.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Backup> {
        self.backup_with(to, None, |_, _| {})
    }

    /// [`backup`](Self::backup) for tasks. Dropping the future does not stop it.
    ///
    /// # Errors
    /// As [`backup`](Self::backup).
    pub async fn backup_async(&self, to: impl AsRef<Path>) -> Result<Backup> {
        let to = to.as_ref().to_owned();
        self.store.in_task(move |store| backup(store, (&to, None), |_, _| {})).await
    }

    /// Writes into a new file what has become of the store since an earlier backup, full or incremental, and checks it. The earlier
    /// one is only read; it was made by this release or a later one, and nobody has written to it since. The file is no store
    /// by itself: [`restore_chain`](crate::store::recovery::restore_chain) makes one of a full backup and those that follow it.
    ///
    /// It holds the events that came later, and all branches and records as they are now. Reads and appends go on meanwhile, as
    /// with [`backup`](Self::backup).
    ///
    /// ```
    /// use retold::store::recovery::{RestoreUntil, restore_chain};
    /// use retold::{NewEvent, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let [full, later] = ["full.redb", "later.redb"].map(|name| dir.path().join(name));
    /// let store = Store::open(dir.path().join("runs.redb"))?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// store.maintenance().backup(&full)?;
    /// store.append("run-7", NewEvent::new("run.ended"))?;
    /// let made = store.maintenance().backup_since(&full, &later)?;
    /// assert_eq!((made.since, made.position.get()), (Some(1.into()), 2));
    /// let restored = dir.path().join("restored.redb");
    /// restore_chain(&[full, later], &restored, RestoreUntil::End)?;
    /// assert_eq!(Store::open(&restored)?.head("run-7")?.get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotABase`](crate::Error::NotABase) when the earlier one is of another store, or of this one before it was
    /// restored or repaired, or no backup as it was made: then a full one has to be taken.
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Locked`](crate::Error::Locked) and
    /// [`Error::Corrupt`](crate::Error::Corrupt) of the earlier one, and as [`backup`](Self::backup). After an error there is no file.
    pub fn backup_since(&self, earlier: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Backup> {
        self.backup_with(to, Some(earlier.as_ref()), |_, _| {})
    }

    /// [`backup_since`](Self::backup_since) for tasks. Dropping the future does not stop it.
    ///
    /// # Errors
    /// As [`backup_since`](Self::backup_since).
    pub async fn backup_since_async(
        &self,
        earlier: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<Backup> {
        let (since, to) = (earlier.as_ref().to_owned(), to.as_ref().to_owned());
        self.store.in_task(move |store| backup(store, (&to, Some(&since)), |_, _| {})).await
    }

    /// [`backup`](Self::backup), or [`backup_since`](Self::backup_since) an earlier one, telling as it goes how many events of how
    /// many it has copied and checked; it comes to each twice.
    ///
    /// # Errors
    /// As those.
    pub fn backup_with(
        &self,
        to: impl AsRef<Path>,
        since: Option<&Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Backup> {
        backup(&self.store, (to.as_ref(), since), progress)
    }

    /// Gives back the space that is not used any more: copies the store into a new file beside its own, which then takes the
    /// place of that. A store that wastes none may grow by a few pages. Reads, appends and followers go on meanwhile, in every process; appends wait for a moment when the files
    /// are exchanged. Until then the folder needs room for both. An open reader keeps the old file's space until it is dropped.
    ///
    /// A killed process leaves the store whole, in the one file or the other; what is left of the copy is removed when the store
    /// is opened next. One compaction runs at a time.
    ///
    /// ```
    /// use retold::{NewEvent, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("runs.redb");
    /// let store = Store::open(&path)?;
    /// store.append("run-7", NewEvent::new("run.started"))?;
    /// let compacted = store.maintenance().compact()?;
    /// assert_eq!(std::fs::metadata(&path)?.len(), compacted.after);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the store has no file, there is no room for the copy, or the store is being
    /// compacted already; [`Error::Corrupt`](crate::Error::Corrupt) when the file is damaged;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Closed`](crate::Error::Closed). After an error the store is in the
    /// file where it was.
    pub fn compact(&self) -> Result<Compaction> {
        self.compact_with(|_, _| {})
    }

    /// [`compact`](Self::compact) for tasks. Dropping the future does not stop it.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_async(&self) -> Result<Compaction> {
        self.store.in_task(|store| compact(store, |_, _| {})).await
    }

    /// [`compact`](Self::compact), telling as it goes how many rows of how many it has copied.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_with(&self, progress: impl FnMut(u64, u64)) -> Result<Compaction> {
        compact(&self.store, progress)
    }

    /// Takes every event through its upcasters, without changing anything. `progress` is told how many events of how
    /// many were looked at.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt), [`Error::Closed`](crate::Error::Closed).
    pub fn survey(&self, progress: impl FnMut(u64, u64)) -> Result<Survey> {
        survey(&self.store, progress)
    }

    /// [`survey`](Self::survey) for tasks; `progress` is called on the thread that reads. Cancellation as with
    /// [`verify_async`](Self::verify_async).
    ///
    /// # Errors
    /// As [`survey`](Self::survey).
    pub async fn survey_async(&self, progress: impl FnMut(u64, u64) + Send + 'static) -> Result<Survey> {
        self.store.in_task(move |store| survey(store, progress)).await
    }
}
