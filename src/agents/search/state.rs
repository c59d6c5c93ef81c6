//! The index of an open store: opened once, shared by all handles, and brought up to date by whoever needs it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use super::disk::{Folder, Lock, Manifest, Snapshot, Unusable, Writer};
use super::failed::Failed;
use super::feed;
use super::update::{OnIndexed, catch_up, is_of, sweep};
use crate::agents::projections::shape_of;
use crate::codec::{FileHeader, HEADER_BYTES, line_of_secret};
use crate::event::Catalogue;
use crate::limits::{SEARCH_GONE_DUE, SEARCH_TAIL_EVENTS};
use crate::store::{Observer, Reader, StoreHandle};
use crate::sync::{Mutex, lock};

/// Raised when the files, or what a text or a word is, change in another way than with the release.
const VERSION: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct State {
    /// What was opened last.
    open: Mutex<Option<Arc<Snapshot>>>,
    /// The next search is to write: there is much to read after the index, or much in it that is gone.
    is_due: AtomicBool,
    is_sweep_due: AtomicBool,
    is_damaged: AtomicBool,
    /// It was wrong again when it had just been made.
    is_given_up: AtomicBool,
    /// What was purged is out of all indexes that this process could change.
    has_swept: AtomicBool,
    /// How far the index was behind when it could not be written, as on a full disk; 0 when it could.
    waits_at: AtomicU64,
    /// By which the index is known among those of the store.
    key: OnceLock<u64>,
}

impl Observer for State {}

/// How far an index is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Only what is worth it.
    Search,
    Everything,
    /// And what is gone is removed.
    Sweep,
}

/// An index that can be used.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) index: Option<Arc<Snapshot>>,
    /// How many events were removed from it; `None` when it was not changed, since another process writes it.
    pub(super) swept: Option<u64>,
}

/// Whose index it is, and where.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: Folder,
    empty: Manifest,
}

impl Home {
    /// `None` for a store without a file.
    pub(super) fn of(store: &StoreHandle, reader: &Reader, state: &State) -> Option<Self> {
        let path = store.path()?;
        let key = *state.key.get_or_init(|| {
            let upcasts = reader.upcasts().map_or(0, |upcasts| upcasts.fingerprint());
            let release = env!("CARGO_PKG_VERSION");
            let read = format!("{VERSION} {release} {} {upcasts}", shape_of(store.catalogue()));
            xxh3_64(read.as_bytes())
        });
        Some(Self { folder: Folder::of(path, key), empty: Manifest::empty(store.id(), line_of(path)?) })
    }
}

/// What a store's file has in common with those that continue it, as after a compaction. A restored one has another.
fn line_of(path: &Path) -> Option<u64> {
    let mut bytes = [0; HEADER_BYTES];
    File::open(path).ok()?.read_exact(&mut bytes).ok()?;
    FileHeader::decode(&bytes).ok().map(|header| line_of_secret(&header.secret))
}

/// What is done to an index while it can be changed.
#[derive(Clone, Copy, Debug)]
struct Work {
    sweeps: bool,
    /// What is missing is added, also where there is no index yet.
    adds: bool,
    /// Nothing of what is there is used, unless another process has made it anew meanwhile.
    is_anew: bool,
}

impl State {
    /// What is in the index was found to be wrong: it is made anew.
    pub(super) fn is_damaged(&self, home: Option<&Home>, reason: &str) {
        if let Some(home) = home {
            let folder = home.folder.path().display();
            tracing::warn!(%folder, reason, "the search index is made anew");
        }
        self.is_damaged.store(true, Ordering::Relaxed);
    }

    /// No index is used any more.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// What an answer has shown of the index.
    pub(super) fn notice(&self, is_behind: bool, gone: usize) {
        self.is_due.fetch_or(is_behind, Ordering::Relaxed);
        self.is_sweep_due.fetch_or(gone >= SEARCH_GONE_DUE, Ordering::Relaxed);
    }

    /// The index, brought as far up to date as is needed and this process can.
    pub(super) fn ready(
        &self,
        home: &Home,
        reader: &Reader,
        catalogue: &Catalogue,
        need: Need,
        progress: &mut OnIndexed<'_>,
    ) -> Result<Ready, Failed> {
        let known = lock(&self.open).clone();
        let mut is_anew = self.is_damaged.load(Ordering::Relaxed);
        let (index, head) = match home.current(reader, known.as_ref()) {
            _ if is_anew => (None, feed::head(reader)?),
            // One that is out of reach is as good as none, and left as it is.
            Err(Failed::Index(unusable)) if !unusable.is_damaged => (None, feed::head(reader)?),
            found => found?,
        };
        let behind = head.saturating_sub(index.as_ref().map_or(0, |index| index.manifest.reached));
        let is_purged = home.folder.is_purged(self.has_swept.load(Ordering::Relaxed));
        let is_sweep_due = index.is_some() && self.is_sweep_due.load(Ordering::Relaxed);
        let sweeps = need == Need::Sweep || (home.folder.is_there() && is_purged) || is_sweep_due;
        // What could not be read may be gone, or be readable again.
        is_anew |= need == Need::Sweep && index.as_ref().is_some_and(|index| index.manifest.unread > 0);
        let is_far_behind = behind >= SEARCH_TAIL_EVENTS || self.is_due.load(Ordering::Relaxed) || is_anew;
        let adds = match need {
            Need::Search => is_far_behind,
            Need::Everything => true,
            Need::Sweep => index.is_some(),
        };
        let may_try =
            need != Need::Search || behind >= self.waits_at.load(Ordering::Relaxed).saturating_mul(2);
        let mut ready = Ready { index, swept: if sweeps { None } else { Some(0) } };
        let is_worth_it = (adds || sweeps) && (need != Need::Sweep || home.folder.is_there());
        if !is_worth_it {
            ready.swept = Some(0);
        } else if may_try {
            match self.write(home, reader, catalogue, Work { sweeps, adds, is_anew }, progress) {
                Ok(Some(written)) => {
                    self.waits_at.store(0, Ordering::Relaxed);
                    ready = written;
                }
                // Another process writes it.
                Ok(None) => {}
                Err(Failed::Index(unusable)) if need == Need::Search => {
                    // Not with each search anew: it takes time, and space that may be missing.
                    self.waits_at.store(behind.max(SEARCH_TAIL_EVENTS), Ordering::Relaxed);
                    tracing::debug!(reason = unusable.reason, "the search index cannot be written");
                }
                Err(failed) => return Err(failed),
            }
        }
        lock(&self.open).clone_from(&ready.index);
        Ok(ready)
    }

    fn write(
        &self,
        home: &Home,
        reader: &Reader,
        catalogue: &Catalogue,
        mut work: Work,
        progress: &mut OnIndexed<'_>,
    ) -> Result<Option<Ready>, Failed> {
        loop {
            let Some(lock) = home.folder.lock().map_err(Unusable::from)? else { return Ok(None) };
            match written(home, lock, reader, catalogue, work, progress) {
                Err(Failed::Index(unusable)) if unusable.is_damaged && !work.is_anew => {
                    self.is_damaged(Some(home), &unusable.reason);
                    work.is_anew = true;
                }
                Ok(ready) => {
                    self.is_damaged.store(false, Ordering::Relaxed);
                    self.is_due.store(false, Ordering::Relaxed);
                    if work.sweeps {
                        self.is_sweep_due.store(false, Ordering::Relaxed);
                        self.has_swept.store(true, Ordering::Relaxed);
                    }
                    return Ok(Some(ready));
                }
                Err(failed) => return Err(failed),
            }
        }
    }
}

impl Home {
    /// The index as it is now, if there is one that is of the store; and the last position that it may have.
    fn current(
        &self,
        reader: &Reader,
        known: Option<&Arc<Snapshot>>,
    ) -> Result<(Option<Arc<Snapshot>>, u64), Failed> {
        let index = Snapshot::open(&self.folder, known)?;
        // Read after it: whoever has written it has seen no more.
        let head = feed::head(reader)?;
        match index {
            Some(index) if is_of(&index.manifest, &self.empty, reader, head)? => Ok((Some(index), head)),
            _ => Ok((None, head)),
        }
    }

    /// What the index has, without changing it.
    pub(super) fn look(&self, reader: &Reader) -> Result<Option<(Arc<Snapshot>, u64)>, Failed> {
        let (index, head) = self.current(reader, None)?;
        Ok(index.map(|index| (index, head)))
    }
}

fn written(
    home: &Home,
    lock: Lock,
    reader: &Reader,
    catalogue: &Catalogue,
    work: Work,
    progress: &mut OnIndexed<'_>,
) -> Result<Ready, Failed> {
    // Another process may have gone on until just now.
    let current = match work.is_anew {
        true => None,
        false => home.current(reader, None)?.0,
    };
    if current.is_none() && !work.adds {
        // There is none to remove words from but those of others.
        home.folder.begin_sweep(&lock).map_err(Unusable::from)?;
        home.folder.has_swept(&lock).map_err(Unusable::from)?;
        return Ok(Ready { index: None, swept: Some(0) });
    }
    let mut writer = match current {
        Some(index) => Writer::new(&home.folder, lock, &index),
        None => Writer::anew(&home.folder, lock, home.empty.clone())?,
    };
    let swept = if work.sweeps { sweep(&mut writer, reader)? } else { 0 };
    let head = feed::head(reader)?;
    let index = catch_up(&mut writer, reader, catalogue, head, progress)?;
    Ok(Ready { index: Some(index), swept: Some(swept) })
}
