//! The folder of an index: beside the store, and within it one for each way in which events are read. It can be deleted at any time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::manifest::{Manifest, is_drawn, is_segment};
use super::unusable::Unusable;
use crate::event::EventId;
use crate::files;
use crate::limits::{MAX_SEARCH_MANIFEST_BYTES, SEARCH_INDEXES};

const MANIFEST: &str = "manifest";
const LOCK: &str = "lock";
/// What the mark of a purge is called while its words are removed, before the name of the index that this is done for.
const SWEEPING: &str = "sweeping";

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// That of all indexes of the store.
    all: PathBuf,
    own: PathBuf,
    store: PathBuf,
}

/// The right to write to a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Folder {
    /// That of the store in this file, whose events are read in the way that has this key.
    pub(crate) fn of(store: &Path, key: u64) -> Self {
        let all = files::search_folder(store);
        let own = all.join(key_name(key));
        Self { all, own, store: store.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.own
    }

    /// Whether the store has an index of any kind.
    pub(crate) fn is_there(&self) -> bool {
        self.all.is_dir()
    }

    /// The manifest, and the bytes that it has; `None` where there is no index.
    pub(crate) fn manifest(&self) -> Result<Option<(Vec<u8>, Manifest)>, Unusable> {
        let path = self.own.join(MANIFEST);
        // A manifest grows by some 300 bytes with each segment.
        let read = fs::metadata(&path).and_then(|meta| match meta.len() <= MAX_SEARCH_MANIFEST_BYTES {
            true if meta.is_file() => fs::read(&path),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        match read {
            Ok(bytes) => Manifest::decode(&bytes).map(|manifest| Some((bytes, manifest))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes the right to write, makes the folder if necessary. `None` while another has it.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        if !is_folder(&self.own) {
            self.keep_few();
            new_folder(&self.own)?;
            self.is_of_the_owner()?;
        }
        lock(&self.own)
    }

    /// Makes this the index, and removes what does not belong to it.
    pub(crate) fn put(&self, manifest: &Manifest, lock: &Lock) -> io::Result<Vec<u8>> {
        let bytes = manifest.encode();
        let draft = self.own.join(format!("{MANIFEST}.{}", EventId::new().uuid().simple()));
        let written = files::new_file(&draft).and_then(|mut file| file.write_all(&bytes));
        if let Err(e) = written.and_then(|()| files::rename(&draft, &self.own.join(MANIFEST))) {
            let _ = files::remove(&draft);
            return Err(e);
        }
        self.keep_only(manifest, lock);
        Ok(bytes)
    }

    /// Removes our files that are not kept. What cannot be removed now is removed later.
    fn sweep_files(&self, is_kept: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(&self.own).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let draft = name.strip_prefix(MANIFEST).and_then(|rest| rest.strip_prefix('.'));
            if (is_segment(name) && !is_kept(name)) || draft.is_some_and(is_drawn) {
                let _ = files::remove(&entry.path());
            }
        }
    }

    /// Removes what was written before and not put into the index.
    pub(crate) fn keep_only(&self, manifest: &Manifest, _: &Lock) {
        self.sweep_files(|name| manifest.segments.iter().any(|segment| segment.name == name));
    }

    /// Removes the index, so that it is made anew.
    pub(crate) fn clear(&self, _: &Lock) -> io::Result<()> {
        files::remove(&self.own.join(MANIFEST))?;
        self.sweep_files(|_| false);
        Ok(())
    }

    /// Whether events were purged whose words may still be in an index. What this process has removed as far as it can does not
    /// count again.
    pub(crate) fn is_purged(&self, has_swept: bool) -> bool {
        files::purged_mark(&self.all).exists() || (!has_swept && self.sweeping().exists())
    }

    fn sweeping(&self) -> PathBuf {
        let key = self.own.file_name().unwrap_or_default();
        self.all.join(format!("{SWEEPING}.{}", key.display()))
    }

    /// What is purged from now on is marked again.
    pub(crate) fn begin_sweep(&self, _: &Lock) -> io::Result<()> {
        match files::rename(&files::purged_mark(&self.all), &self.sweeping()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// What was purged before the sweep began is out of this index. Others are removed; they are made anew when they are needed.
    /// One that cannot be removed is tried again by the next process.
    pub(crate) fn has_swept(&self, _: &Lock) -> io::Result<()> {
        let is_clean = self.others().iter().fold(true, |is_clean, other| {
            let removed = remove_index(other).inspect_err(|error| {
                let folder = other.display();
                tracing::warn!(%folder, %error, "words of purged events may stay in this folder; delete it");
            });
            removed.unwrap_or(false) && is_clean
        });
        if is_clean { files::remove(&self.sweeping()) } else { Ok(()) }
    }

    /// Leaves room for one more index: those that were written longest ago go.
    fn keep_few(&self) {
        let mut others = self.others();
        let written =
            |path: &PathBuf| fs::metadata(path.join(MANIFEST)).and_then(|meta| meta.modified()).ok();
        others.sort_by_cached_key(written);
        let many = (others.len() + 1).saturating_sub(SEARCH_INDEXES);
        for other in others.iter().take(many) {
            // Of one that stays there are more for a while.
            let _ = remove_index(other);
        }
    }

    /// A folder that belongs to somebody else than the store would lock its owner out: one that was just made goes again.
    #[cfg(unix)]
    fn is_of_the_owner(&self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let owner = |path: &Path| fs::metadata(path).map(|meta| meta.uid());
        if owner(&self.own)? == owner(&self.store)? {
            return Ok(());
        }
        // Only what is empty.
        let _ = fs::remove_dir(&self.own).and_then(|()| fs::remove_dir(&self.all));
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the store belongs to another user"))
    }

    #[cfg(not(unix))]
    fn is_of_the_owner(&self) -> io::Result<()> {
        Ok(())
    }

    /// The other indexes of the store.
    fn others(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(&self.all).into_iter().flatten().flatten();
        let is_index = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            *path != self.own && is_key(name) && is_folder(path)
        };
        folders.map(|entry| entry.path()).filter(is_index).collect()
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> u64 {
        let entries = fs::read_dir(&self.own).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }
}

fn key_name(key: u64) -> String {
    format!("{key:016x}")
}

fn is_key(name: &str) -> bool {
    u64::from_str_radix(name, 16).is_ok_and(|key| key_name(key) == name)
}

/// A link to another folder is none.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Nobody else may read what was said.
fn new_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn lock(folder: &Path) -> io::Result<Option<Lock>> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = match options.open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => match files::new_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => options.open(&path)?,
            made => made?,
        },
        opened => opened?,
    };
    match file.try_lock() {
        // The folder may have been removed meanwhile, and another made.
        Ok(()) if !is_there(&file, &path) => Ok(None),
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// Whether the file of this path is the one that is open.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |meta: io::Result<fs::Metadata>| meta.map(|meta| (meta.dev(), meta.ino())).ok();
    let own = id(file.metadata());
    own.is_some() && own == id(fs::metadata(path))
}

#[cfg(not(unix))]
fn is_there(_: &File, path: &Path) -> bool {
    path.exists()
}

/// `false` while somebody writes it.
fn remove_index(folder: &Path) -> io::Result<bool> {
    let Some(_lock) = lock(folder)? else { return Ok(false) };
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(true),
    }
}
