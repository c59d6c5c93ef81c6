//! Records that an application keeps beside the events.

use crate::engine::{SidecarRange, SidecarTable};
use crate::error::Result;
use crate::store::append::sidecar_changes::{SidecarChanges, checked, table_key};
use crate::store::handle::store::Store;
use crate::store::unblocked::unblocked;

/// Records of an application, by key: [`Sidecar::of`]. Small things that belong to the events and are none: where something
/// stands, who may write next. They are written in one commit with events or alone, survive what events survive, and are in
/// backups; nobody follows or searches them. All that is restored up to some point has the records of the end.
///
/// ```
/// use retold::store::sidecar::Sidecar;
/// use retold::{Batch, Error, Expect, NewEvent, Store};
///
/// let store = Store::in_memory()?;
/// let sidecar = Sidecar::of(&store, "uploads")?;
/// let step = |from: Option<&str>, to: &str| -> retold::Result<_> {
///     let changes = sidecar.changes().expect("next", from.map(Into::into)).put("next", to);
///     store.append_batch(Batch::new().add("run-7", Expect::Any, NewEvent::new("part.stored"))?.sidecar(changes)?)
/// };
/// step(None, "part 2")?;
/// // Whoever has not seen that comes too late, and appends nothing.
/// assert!(matches!(step(None, "part 1"), Err(Error::RecordChanged { .. })));
/// assert_eq!(sidecar.get(b"next")?.as_deref(), Some(&b"part 2"[..]));
/// assert_eq!(store.head("run-7")?.get(), 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sidecar {
    store: Store,
    namespace: Box<str>,
}

/// A record of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SidecarEntry {
    /// Its key.
    pub key: Vec<u8>,
    /// What it holds.
    pub value: Vec<u8>,
}

impl Sidecar {
    /// The records of an application, under a name of its own: 1 to 64 bytes of `a-z`, `0-9`, `-` and `.`.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that is none.
    pub fn of(store: &Store, namespace: &str) -> Result<Self> {
        Ok(Self { namespace: checked(namespace)?.into(), store: store.clone() })
    }

    /// Changes to these records: none yet.
    pub fn changes(&self) -> SidecarChanges {
        SidecarChanges::of(self.namespace.clone())
    }

    /// A record, if it is there.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.reader()?.records().get(SidecarTable::Applications, &table_key(&self.namespace, key))
    }

    /// Up to `limit` records whose keys begin with this, in the order of their keys, after this key.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<SidecarEntry>> {
        let before = table_key(&self.namespace, b"");
        let prefix = table_key(&self.namespace, prefix);
        let after = after.map(|key| table_key(&self.namespace, key));
        let range = SidecarRange { after: after.as_deref(), ..SidecarRange::under(&prefix, limit) };
        let rows = self.store.reader()?.records().rows(SidecarTable::Applications, &range)?;
        let own = |key: Vec<u8>| key.get(before.len()..).unwrap_or_default().to_vec();
        rows.into_iter().map(|row| Ok(SidecarEntry { key: own(row.key), value: row.value? })).collect()
    }

    /// Makes changes that belong to no event. All of them or none; nothing to change is nothing done.
    ///
    /// # Errors
    /// [`Error::RecordChanged`](crate::Error::RecordChanged) when a record is not as expected; [`Error::Invalid`](crate::Error::Invalid) for changes that are too many or too large;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly), and those of [`append`](Store::append) for the write.
    pub fn write(&self, changes: SidecarChanges) -> Result<()> {
        self.store.inner().process().check()?;
        self.store.inner().write_records(changes.checked()?)
    }

    /// [`get`](Self::get) as an async function.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_async(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (sidecar, key) = (self.clone(), key.to_vec());
        unblocked(move || sidecar.get(&key)).await
    }

    /// [`list`](Self::list) as an async function.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<SidecarEntry>> {
        let (sidecar, prefix, after) = (self.clone(), prefix.to_vec(), after.map(<[u8]>::to_vec));
        unblocked(move || sidecar.list(&prefix, after.as_deref(), limit)).await
    }

    /// [`write`](Self::write) as an async function. Cancellation as with [`append_async`](Store::append_async).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_async(&self, changes: SidecarChanges) -> Result<()> {
        self.store.inner().process().check()?;
        self.store.inner().write_records_async(changes.checked()?).await
    }
}
