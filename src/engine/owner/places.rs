//! Where the owner record and the socket of a file lie. They are named by the file's inode: it has one lock whatever the
//! file is called, and a file that was deleted and made again does not share it. A store that is compacted moves into
//! another file, which says that it continues this one.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::host::user;
use crate::engine::file::line_of;
use crate::engine::file_id::FileId;
use crate::limits::MAX_SOCKET_PATH_BYTES;

#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The file itself: no link leads to it.
    pub(crate) file: PathBuf,
    pub(crate) id: FileId,
    /// What the files of one store have in common that continue each other; backups have their own.
    pub(crate) line: Option<[u8; 16]>,
    folder: PathBuf,
}

impl Places {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::canonicalize(path)?;
        let id = FileId::at(&file)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let line = line_of(&file);
        Ok(Self { file, id, line, folder })
    }

    /// The same of the file that continues this one under its name, if there is one.
    pub(crate) fn now(&self) -> Self {
        match FileId::at(&self.file) {
            Ok(id) if id != self.id && self.line.is_some() && line_of(&self.file) == self.line => {
                self.of_file(id)
            }
            _ => self.clone(),
        }
    }

    /// The same of a file that is about to continue this one.
    pub(crate) fn of_file(&self, id: FileId) -> Self {
        Self { id, ..self.clone() }
    }

    /// Whether the path still leads to the same file.
    pub(crate) fn still_hold(&self) -> bool {
        FileId::at(&self.file).is_ok_and(|id| id == self.id) && !self.is_replaced()
    }

    /// Whether another store lies under the name, by what it says: it may have the number of the file that was there before.
    pub(crate) fn is_replaced(&self) -> bool {
        self.line.is_some() && line_of(&self.file).is_some_and(|line| Some(line) != self.line)
    }

    #[cfg(test)]
    pub(crate) fn moved(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.folder.join(format!(".retold.{:x}.owner", self.id.inode))
    }

    /// The socket that a record names.
    pub(crate) fn socket_of(&self, named: &Path) -> PathBuf {
        self.folder.join(named)
    }

    /// Where the socket can be, the best place first; and for each that cannot be used, why.
    pub(crate) fn sockets(&self) -> Vec<Result<PathBuf, String>> {
        let beside = self.folder.join(format!(".retold.{:x}.sock", self.id.inode));
        let name = format!("{:x}-{:x}.sock", self.id.device, self.id.inode);
        let elsewhere = runtime_folder().map(|folder| folder.join(name));
        [Ok(beside), elsewhere].into_iter().map(|path| path.and_then(short)).collect()
    }
}

/// A path that the system takes for a socket; it is bound under a name with one byte more.
fn short(path: PathBuf) -> Result<PathBuf, String> {
    match path.as_os_str().as_bytes().len() + 2 {
        len if len <= MAX_SOCKET_PATH_BYTES => Ok(path),
        len => Err(format!("{} is too long for a socket: {len} bytes", path.display())),
    }
}

/// A folder of this user's alone, for sockets of which the path would be too long, or that the store's own folder cannot
/// hold.
fn runtime_folder() -> Result<PathBuf, String> {
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let tried = given.into_iter().map(|folder| folder.join("retold"));
    let tried = tried.chain([std::env::temp_dir().join(format!("retold-{}", user()))]);
    let mut why = String::new();
    for folder in tried {
        match own_folder(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) => why = format!("{} cannot be used: {e}", folder.display()),
        }
    }
    Err(why)
}

/// Makes a folder that only this user can use, or checks that it is one: somebody else may have put it there.
fn own_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let meta = fs::symlink_metadata(folder)?;
    let reason = if !meta.is_dir() {
        "it is not a folder"
    } else if meta.uid() != user() {
        "it belongs to another user"
    } else if meta.permissions().mode() & 0o077 != 0 {
        "other users can enter it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_place_whatever_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link, name) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        fs::write(&path, "").unwrap();
        let places = Places::of(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::hard_link(&path, &name).unwrap();
        for other in [&link, &name] {
            let other = Places::of(other).unwrap();
            assert_eq!((other.record(), other.id), (places.record(), places.id));
        }
        fs::rename(&path, dir.path().join("d")).unwrap();
        fs::write(&path, "").unwrap();
        assert!(!places.still_hold());
        assert_ne!(Places::of(&path).unwrap().record(), places.record());
    }

    #[test]
    fn a_folder_for_sockets_is_for_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("retold");
        own_folder(&folder).unwrap();
        own_folder(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(own_folder(&folder).unwrap_err().to_string(), "other users can enter it");
        let link = dir.path().join("link");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert_eq!(own_folder(&link).unwrap_err().to_string(), "it is not a folder");
    }

    #[test]
    fn a_long_path_has_its_socket_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(100)).join("y".repeat(100));
        fs::create_dir_all(&long).unwrap();
        let path = long.join("runs.redb");
        fs::write(&path, "").unwrap();
        let sockets = Places::of(&path).unwrap().sockets();
        let [Err(why), Ok(elsewhere)] = &sockets[..] else { panic!("{sockets:?}") };
        assert!(why.contains("too long for a socket"), "{why}");
        assert!(elsewhere.as_os_str().len() < MAX_SOCKET_PATH_BYTES && !elsewhere.starts_with(&long));
    }
}
