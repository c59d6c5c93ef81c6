//! A file that appears under its name only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Outcome};
use retold::error::Error;
use retold::event::EventId;

/// Written beside the file, then renamed over it: a link in its place is replaced, never followed. A pipe or a device
/// is written to directly.
pub(super) struct Draft {
    /// The path as given.
    path: PathBuf,
    /// The temporary file, until it takes the name.
    draft: Option<PathBuf>,
    pub(super) file: BufWriter<File>,
}

impl Draft {
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        if path.file_name().is_none() {
            return Err(Failure::Usage(format!("{} is not a file", path.display())));
        }
        if is_stream(path) {
            let file = File::options().write(true).open(path).map_err(|e| failed(path, e))?;
            return Ok(Self { path: path.to_owned(), draft: None, file: BufWriter::new(file) });
        }
        // Not derived from the file's own name, which may already have the maximum length.
        let draft = path.with_file_name(format!(".retold.{}.new", EventId::new()));
        // The name cannot be guessed, and an existing file is not opened.
        let file = File::create_new(&draft).map_err(|e| failed(path, e))?;
        Ok(Self { path: path.to_owned(), draft: Some(draft), file: BufWriter::new(file) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Outcome {
        self.file.write_all(bytes).map_err(|e| Failure::file(self.path.display(), e))
    }

    /// Gives the file its name, replacing any existing file.
    pub(super) fn finish(self) -> Result<PathBuf, Failure> {
        let path = self.path.clone();
        self.named(|draft| {
            if let Some(old) = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file) {
                fs::set_permissions(draft, old.permissions())?;
            }
            fs::rename(draft, &path)
        })
    }

    /// Gives the file its name unless that exists.
    pub(super) fn finish_new(self) -> Result<PathBuf, Failure> {
        let path = self.path.clone();
        self.named(|draft| match fs::hard_link(draft, &path) {
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                match fs::symlink_metadata(&path) {
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(_) => fs::rename(draft, &path),
                }
            }
            linked => linked,
        })
    }

    fn named(mut self, name: impl FnOnce(&Path) -> io::Result<()>) -> Result<PathBuf, Failure> {
        let flushed = self.file.flush();
        let named = flushed.and_then(|()| self.draft.as_deref().map_or(Ok(()), name));
        named.map_err(|e| Failure::file(self.path.display(), e))?;
        Ok(self.path.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // Renamed, or no longer wanted.
            let _ = fs::remove_file(draft);
        }
    }
}

fn failed(path: &Path, e: io::Error) -> Failure {
    match e.kind() {
        io::ErrorKind::NotFound => {
            Error::NotFound { what: "folder for", name: path.display().to_string() }.into()
        }
        _ => Failure::file(path.display(), e),
    }
}

/// A pipe or a device; also special names such as `/dev/stdout`, which is a link.
fn is_stream(path: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let is_the_systems = folder.is_some_and(|f| f.starts_with("/proc") || f == Path::new("/dev"));
    is_the_systems || !(meta.is_file() || meta.is_symlink())
}

/// Whether both paths lead to one file.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
