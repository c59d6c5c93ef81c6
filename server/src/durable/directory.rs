//! Which streams there are: their records, and whether their branches are still there.
//!
//! A stream lives as long as its branch. One that was deleted or has expired leaves its record for as long as forks of it
//! live, so that nobody takes its path; the record goes with the last of them.

use retold::lifecycle::Expiry;
use retold::store::sidecar::Sidecar;
use retold::{BranchInfo, Error, Store, Timestamp};

use super::record::{NAMESPACE, StreamRow, decoded, fork_key, producer_key, seq_key, stream_key};

/// Records that are read or removed at a time.
const PAGE: usize = 256;
/// Records that are looked at with each stream that is made: more than are made, so that none stays for ever.
const SWEPT: usize = 4;

/// The streams of a store. Blocks.
#[derive(Debug)]
pub(super) struct Directory {
    store: Store,
    sidecar: Sidecar,
}

/// A record of a stream.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) row: StreamRow,
    /// As it was read: what a commit expects that relies on it.
    pub(super) stored: Vec<u8>,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing. A stream that was there may have left its record.
    Nothing(Option<Box<Entry>>),
    /// A stream that is gone, but has forks.
    Gone,
    /// A stream.
    Live(Box<Live>),
}

/// A stream that is there.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) entry: Entry,
    pub(super) branch: BranchInfo,
}

impl Live {
    /// Whether nothing is appended to it any more. Its branch may have been closed without it.
    pub(super) fn is_closed(&self) -> bool {
        self.entry.row.closed.is_some() || self.branch.closed.is_some()
    }

    /// The offset after everything that it has.
    pub(super) fn end(&self) -> u64 {
        self.branch.head.get()
    }
}

impl Directory {
    pub(super) fn of(store: &Store) -> Result<Self, Error> {
        Ok(Self { store: store.clone(), sidecar: Sidecar::of(store, NAMESPACE)? })
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// What is at this path. The record is read before the branch: of a stream that is closed, the end is the last.
    pub(super) fn find(&self, path: &str) -> Result<Found, Error> {
        let Some(entry) = self.entry(path)? else { return Ok(Found::Nothing(None)) };
        Ok(match self.branch(&entry)? {
            Some(branch) => Found::Live(Box::new(Live { entry, branch })),
            None if self.is_held(&entry.row.incarnation)? => Found::Gone,
            None => Found::Nothing(Some(Box::new(entry))),
        })
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, Error> {
        let key = stream_key(path);
        let Some(stored) = self.sidecar.get(key.as_bytes())? else { return Ok(None) };
        Ok(Some(Entry { path: path.to_owned(), row: decoded(&key, &stored)?, stored }))
    }

    /// The branch of a stream, unless it is gone.
    fn branch(&self, entry: &Entry) -> Result<Option<BranchInfo>, Error> {
        let address = entry.row.address()?;
        let branch = match self.store.branch(&address) {
            Ok(branch) => branch,
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match (branch.expiry, expiry(&entry.row)) {
            // The store deletes it in a moment.
            (Some(Expiry::At(at)), _) if at <= Timestamp::now() => Ok(None),
            // Whoever made it did not come so far.
            (None, Some(due)) => self.expiring(&address, due),
            _ => Ok(Some(branch)),
        }
    }

    fn expiring(&self, address: &retold::Address, due: Expiry) -> Result<Option<BranchInfo>, Error> {
        match self.store.lifecycle().expire(address, due) {
            Ok(branch) => Ok(Some(branch)),
            // It has passed meanwhile.
            Err(Error::Invalid(_)) => match self.store.lifecycle().delete(address) {
                Ok(()) | Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets when a stream that was just made goes.
    pub(super) fn set_expiry(&self, row: &StreamRow) -> Result<(), Error> {
        let Some(due) = expiry(row) else { return Ok(()) };
        self.expiring(&row.address()?, due).map(drop)
    }

    /// Closes the branch of a stream that is closed: that ends those who follow it, in every process.
    pub(super) fn close(&self, row: &StreamRow) -> Result<(), Error> {
        match self.store.lifecycle().close(&row.address()?) {
            Ok(_) | Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a stream. What its forks have of it stays, and so does its record as long as they live.
    pub(super) fn delete(&self, live: Live) -> Result<(), Error> {
        match self.store.lifecycle().delete(&live.entry.row.address()?) {
            Ok(()) | Err(Error::NotFound { .. } | Error::Deleted { .. }) => {}
            Err(error) => return Err(error),
        }
        self.clear(live.entry)
    }

    /// Whether there is a fork that lives of the stream with this incarnation, or of one of its forks.
    fn is_held(&self, incarnation: &str) -> Result<bool, Error> {
        let mut left = vec![incarnation.to_owned()];
        while let Some(of) = left.pop() {
            let prefix = fork_key(&of, "");
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.sidecar.list(prefix.as_bytes(), after.as_deref(), PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                for fork in page {
                    let path = String::from_utf8_lossy(&fork.value);
                    let known = fork.key.get(prefix.len()..).unwrap_or_default();
                    let entry = self.entry(&path)?;
                    let Some(entry) = entry.filter(|entry| entry.row.incarnation.as_bytes() == known) else {
                        continue;
                    };
                    if self.branch(&entry)?.is_some() {
                        return Ok(true);
                    }
                    left.push(entry.row.incarnation);
                }
            }
        }
        Ok(false)
    }

    /// Removes the record of a stream that is gone and that no fork holds, then those of the streams that only waited for it.
    pub(super) fn clear(&self, entry: Entry) -> Result<(), Error> {
        let mut next = Some(entry);
        while let Some(entry) = next.take() {
            if self.branch(&entry)?.is_some() || self.is_held(&entry.row.incarnation)? {
                return Ok(());
            }
            let key = stream_key(&entry.path);
            let changes = self.sidecar.changes().expect(&key, Some(entry.stored)).remove(&key);
            match self.sidecar.write(changes) {
                // Another has the path by now, or somebody else removes it.
                Err(Error::RecordChanged { .. }) => return Ok(()),
                written => written?,
            }
            next = self.forget(&entry.row)?;
        }
        Ok(())
    }

    /// Looks at a few records after this one, and removes those of streams that went by themselves: nobody else may ever come by.
    /// Answers with the last that it has looked at.
    pub(super) fn sweep(&self, after: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let prefix = stream_key("");
        let page = self.sidecar.list(prefix.as_bytes(), after, SWEPT)?;
        let last = page.last().filter(|_| page.len() == SWEPT).map(|one| one.key.clone());
        for one in page {
            let path = String::from_utf8_lossy(one.key.get(prefix.len()..).unwrap_or_default());
            let row = decoded(&path, &one.value)?;
            self.clear(Entry { path: path.into_owned(), row, stored: one.value })?;
        }
        Ok(last)
    }

    /// Removes what was kept of a stream besides its own record, and answers with the stream that it was a fork of.
    pub(super) fn forget(&self, row: &StreamRow) -> Result<Option<Entry>, Error> {
        let of = &row.incarnation;
        let mut changes = self.sidecar.changes().remove(seq_key(of));
        if let Some(from) = &row.fork {
            changes = changes.remove(fork_key(&from.incarnation, of));
        }
        self.sidecar.write(changes)?;
        for prefix in [producer_key(of, ""), fork_key(of, "")] {
            loop {
                let page = self.sidecar.list(prefix.as_bytes(), None, PAGE)?;
                if page.is_empty() {
                    break;
                }
                let changes = page.iter().fold(self.sidecar.changes(), |all, one| all.remove(&one.key));
                self.sidecar.write(changes)?;
            }
        }
        let Some(from) = &row.fork else { return Ok(None) };
        Ok(self.entry(&from.path)?.filter(|source| source.row.incarnation == from.incarnation))
    }
}

/// When the store deletes the branch of a stream.
fn expiry(row: &StreamRow) -> Option<Expiry> {
    let at = row.expires.map(|at| Expiry::At(Timestamp::from_micros(at)));
    // Unused for no time at all: at once.
    at.or_else(|| row.ttl.map(|seconds| Expiry::Unused(std::time::Duration::from_secs(seconds).max(AT_ONCE))))
}

/// The shortest time after which a branch goes.
const AT_ONCE: std::time::Duration = std::time::Duration::from_micros(1);
