//! Where a store's file was when it was opened.

use std::fs::File;
use std::io;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

#[cfg(unix)]
use crate::engine::file_id::FileId;

/// The path that the store was opened by, and the file that it led to. Nothing is known of a storage that is no file.
#[derive(Clone, Debug)]
pub(crate) struct FilePlace {
    #[cfg(unix)]
    opened: Option<(PathBuf, FileId)>,
}

#[cfg(unix)]
impl FilePlace {
    pub(crate) fn of(path: Option<&Path>) -> Self {
        let opened = path.and_then(|path| Some((path.to_owned(), FileId::at(path).ok()?)));
        Self { opened }
    }

    /// Where a file was opened that may have another name by now.
    pub(crate) fn at(path: &Path, file: &File) -> io::Result<Self> {
        Ok(Self { opened: Some((path.to_owned(), FileId::of(&file.metadata()?))) })
    }

    /// Whether it is this file.
    pub(crate) fn is(&self, file: &File) -> io::Result<bool> {
        let id = FileId::of(&file.metadata()?);
        Ok(self.opened.as_ref().is_none_or(|(_, opened)| *opened == id))
    }

    /// Whether the path still leads to that file. If nobody can say, it does.
    pub(crate) fn still_holds(&self) -> bool {
        let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        self.opened.as_ref().is_none_or(|(path, id)| match FileId::at(path) {
            Ok(now) => now == *id,
            Err(e) => !gone.contains(&e.kind()),
        })
    }
}

#[cfg(not(unix))]
impl FilePlace {
    pub(crate) fn of(_: Option<&Path>) -> Self {
        Self {}
    }

    pub(crate) fn at(_: &Path, _: &File) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn is(&self, _: &File) -> io::Result<bool> {
        Ok(true)
    }

    /// An open file can be neither deleted nor renamed here.
    pub(crate) fn still_holds(&self) -> bool {
        true
    }
}
