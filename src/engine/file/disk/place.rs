//! Where a store's file was when it was opened.

#[cfg(unix)]
use std::io;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

#[cfg(unix)]
use crate::engine::file_id::FileId;

/// The path that the store was opened by, and the file that it led to. Nothing is known of a storage that is no file.
#[derive(Debug)]
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

    /// An open file can be neither deleted nor renamed here.
    pub(crate) fn still_holds(&self) -> bool {
        true
    }
}
