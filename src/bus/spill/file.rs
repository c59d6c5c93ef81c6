//! The file of a spill, locked across threads and processes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::{Length, preallocate};

/// The file, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Waits for the lock. `None` if the file does not exist and must not be created.
    pub(super) fn open(path: &Path, make: bool) -> io::Result<Option<Self>> {
        loop {
            match fs::symlink_metadata(path) {
                Ok(meta) if !meta.is_file() => return Err(io::Error::other("it is not a plain file")),
                Err(e) if e.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = match options(make).open(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
                opened => opened?,
            };
            match file.lock() {
                // A file system without locks: other processes have to stay away on their own.
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
                locked => locked?,
            }
            // The previous holder may have removed it.
            if is_named(&file, path)? {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Appends whole lines and syncs them. On failure the file is restored, as far as the disk allows.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.len()?;
        let done = self.try_append(lines, before);
        if done.is_err() {
            // If this fails too, a partial line is left, which later lines are separated from.
            let _ = self.file.set_len(before);
        }
        done
    }

    fn try_append(&mut self, lines: &[u8], before: u64) -> io::Result<()> {
        if before > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::Start(before - 1))?;
            self.file.read_exact(&mut last)?;
            if last != *b"\n" {
                self.file.write_all(b"\n")?;
            }
        }
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        if before == 0 { sync_folder(&self.path) } else { Ok(()) }
    }

    /// The file from its start.
    pub(super) fn read(&self) -> io::Result<&File> {
        (&self.file).seek(SeekFrom::Start(0))?;
        Ok(&self.file)
    }

    /// Takes so much of the disk for the file, beyond its end too: what is appended up to there finds room on a disk that has
    /// filled up meanwhile. `false` where the platform or the file system cannot do that.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<bool> {
        preallocate(&self.file, bytes, Length::Stays)
    }

    /// Makes it empty, and keeps it.
    pub(super) fn empty(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_data()
    }

    pub(super) fn cut(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Removes it. Where an open file cannot be removed, it is truncated.
    pub(super) fn remove(self) -> io::Result<()> {
        if cfg!(unix) {
            fs::remove_file(&self.path)?;
            sync_folder(&self.path)
        } else {
            self.file.set_len(0)?;
            self.file.sync_data()
        }
    }
}

/// A file that was not there, or in the place of one that a drain has left when it was stopped. The lock of the spill is held.
pub(super) fn make_new(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    private(OpenOptions::new().append(true).create_new(true)).open(path)
}

pub(super) fn options(make: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(make);
    private(&mut options);
    options
}

/// Readable by the owner only; a link in its place is not followed.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

#[cfg(unix)]
pub(super) fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(not(unix))]
pub(super) fn is_named(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The path of a file beside this one, whose name goes on with this.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
