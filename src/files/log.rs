//! What is done to the files of a folder, step by step, for tests that make of it what a power cut would have left. It is
//! noted in one step with being done, so the order of the log is the order in which it took effect.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::sync::{Mutex, lock};

/// Something that was done. Files are numbered as they come.
#[derive(Debug)]
pub(crate) enum Step {
    /// A file got a name, the first or another one. Whatever had it lost it.
    Named { name: OsString, file: usize },
    /// The same, and it lost its old one.
    Renamed { from: OsString, to: OsString, file: usize },
    /// A name is gone.
    Removed { name: OsString },
    /// Bytes were written.
    Write { file: usize, offset: u64, data: Box<[u8]> },
    /// The length was changed.
    SetLen { file: usize, len: u64 },
    /// Bytes and length of a file were made durable.
    Synced { file: usize },
    /// Names were.
    FolderSynced,
}

/// Logs that somebody still has.
static LOGS: Mutex<Vec<Weak<FolderLog>>> = Mutex::new(Vec::new());

fn logs() -> Vec<Arc<FolderLog>> {
    lock(&LOGS).iter().filter_map(Weak::upgrade).collect()
}

/// Device and inode.
type FileKey = (u64, u64);

fn key_of(meta: &fs::Metadata) -> FileKey {
    (meta.dev(), meta.ino())
}

/// The log of one folder, and not of those in it.
pub(crate) struct FolderLog {
    folder: PathBuf,
    noted: Mutex<Noted>,
}

impl fmt::Debug for FolderLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderLog").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(crate) struct Noted {
    /// They stay open, so that no other file gets their inode.
    files: Vec<(FileKey, File)>,
    steps: Vec<Step>,
}

impl FolderLog {
    /// Begins with the files that there are, as if they had been written and synced just now.
    pub(crate) fn begin(folder: &Path) -> io::Result<Arc<Self>> {
        let folder = fs::canonicalize(folder)?;
        let mut noted = Noted::default();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if fs::symlink_metadata(&path)?.is_file() {
                let before = noted.files.len();
                let Some(file) = noted.made(&path) else { continue };
                if file == before {
                    let data = fs::read(&path)?.into_boxed_slice();
                    noted.steps.push(Step::SetLen { file, len: data.len() as u64 });
                    noted.steps.push(Step::Write { file, offset: 0, data });
                    noted.steps.push(Step::Synced { file });
                }
            }
        }
        noted.steps.push(Step::FolderSynced);
        let log = Arc::new(Self { folder, noted: Mutex::new(noted) });
        let mut logs = lock(&LOGS);
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(&log));
        Ok(log)
    }

    /// Calls `look` with all steps so far.
    pub(crate) fn steps<T>(&self, look: impl FnOnce(&[Step]) -> T) -> T {
        look(&lock(&self.noted).steps)
    }

    fn is_of(&self, path: &Path) -> bool {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::canonicalize(folder.unwrap_or(Path::new("."))).is_ok_and(|folder| folder == self.folder)
    }
}

impl Noted {
    fn known(&self, meta: &fs::Metadata) -> Option<usize> {
        self.files.iter().position(|(key, _)| *key == key_of(meta))
    }

    /// A file was made, and has this name.
    pub(crate) fn made(&mut self, path: &Path) -> Option<usize> {
        let open = File::open(path).ok()?;
        let meta = open.metadata().ok()?;
        let file = self.known(&meta).unwrap_or_else(|| {
            self.files.push((key_of(&meta), open));
            self.files.len() - 1
        });
        self.steps.push(Step::Named { name: name_of(path), file });
        Some(file)
    }

    /// A file has another name.
    pub(crate) fn named(&mut self, path: &Path) {
        let file = fs::symlink_metadata(path).ok().and_then(|meta| self.known(&meta));
        self.steps.extend(file.map(|file| Step::Named { name: name_of(path), file }));
    }

    pub(crate) fn renamed(&mut self, from: &Path, to: &Path) {
        let file = fs::symlink_metadata(to).ok().and_then(|meta| self.known(&meta));
        let step = |file| Step::Renamed { from: name_of(from), to: name_of(to), file };
        self.steps.extend(file.map(step));
    }

    pub(crate) fn removed(&mut self, path: &Path) {
        self.steps.push(Step::Removed { name: name_of(path) });
    }

    pub(crate) fn folder_synced(&mut self) {
        self.steps.push(Step::FolderSynced);
    }
}

fn name_of(path: &Path) -> OsString {
    path.file_name().unwrap_or(OsStr::new("")).to_owned()
}

/// Does something with the name of a file, and notes it in the log of its folder, if there is one.
pub(crate) fn noted<T>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T>,
    note: impl FnOnce(&mut Noted),
) -> io::Result<T> {
    let Some(log) = logs().into_iter().find(|log| log.is_of(path)) else { return work() };
    let mut steps = lock(&log.noted);
    let done = work()?;
    note(&mut steps);
    Ok(done)
}

/// A file that a log knows.
#[derive(Debug)]
pub(crate) struct LoggedFile {
    log: Arc<FolderLog>,
    file: usize,
}

impl LoggedFile {
    /// `None` for a file that lies in no folder with a log.
    pub(crate) fn of(file: &File) -> Option<Self> {
        let logs = logs();
        let meta = if logs.is_empty() { return None } else { file.metadata().ok()? };
        logs.into_iter().find_map(|log| {
            let file = lock(&log.noted).known(&meta)?;
            Some(Self { log, file })
        })
    }

    fn noted<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
        step: impl FnOnce(usize) -> Step,
    ) -> Result<T, E> {
        let mut noted = lock(&self.log.noted);
        let done = work()?;
        noted.steps.push(step(self.file));
        Ok(done)
    }

    pub(crate) fn write(
        &self,
        offset: u64,
        data: &[u8],
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.noted(work, |file| Step::Write { file, offset, data: data.into() })
    }

    pub(crate) fn set_len(&self, len: u64, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.noted(work, |file| Step::SetLen { file, len })
    }

    pub(crate) fn sync(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.noted(work, |file| Step::Synced { file })
    }
}
