//! The key that cursors are sealed with. It is kept in a file beside the store, so that cursors outlive the server.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use retold::EventId;
use sha2::{Digest, Sha256};

/// What seals. It is not printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What its file is called, after the name of the store's.
const SUFFIX: &str = ".cursor-key";

/// The key of the store in this file. Without a file, or if none can be written there, it is good until the process ends.
pub(crate) fn kept(store: Option<&Path>) -> Key {
    let Some(store) = store else { return fresh() };
    let mut file = store.as_os_str().to_owned();
    file.push(SUFFIX);
    let file = PathBuf::from(file);
    kept_in(&file).unwrap_or_else(|error| {
        let file = file.display();
        tracing::warn!(%file, %error, "the key of cursors can't be kept: cursors end with this server");
        fresh()
    })
}

fn kept_in(file: &Path) -> io::Result<Key> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}", EventId::new()));
    let draft = PathBuf::from(draft);
    let made = write(&draft).and_then(|()| match fs::hard_link(&draft, file) {
        // Another server was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && read(file)?.is_some() => Ok(()),
        // What is there is no key: a crash may have cut it short.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::rename(&draft, file),
        linked => linked,
    });
    let _ = fs::remove_file(&draft);
    made?;
    read(file)?.ok_or_else(|| io::Error::other("it is not as it was written"))
}

/// The key in a file; none if there is no such file, or another thing is in it.
fn read(file: &Path) -> io::Result<Option<Key>> {
    match fs::read(file) {
        Ok(bytes) => Ok(bytes.try_into().ok().map(Key)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(draft: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(draft)?.write_all(&fresh().0)
}

/// One that nobody can guess.
fn fresh() -> Key {
    let mut hash = Sha256::new();
    for _ in 0..4 {
        hash.update(EventId::new().uuid().as_bytes());
        hash.update(RandomState::new().hash_one(0).to_be_bytes());
    }
    Key(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one.redb", "other.redb"].map(|name| folder.path().join(name));
        let key = kept(Some(&one));
        assert_eq!(kept(Some(&one)), key);
        assert_ne!(kept(Some(&other)), key);
        assert_ne!(kept(None), kept(None));
        let names = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names(), 2, "no draft is left");
        let file = folder.path().join("one.redb.cursor-key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Cut short, it is no key.
        fs::write(&file, &key.0[..5]).unwrap();
        let new = kept(Some(&one));
        assert_ne!(new, key);
        assert_eq!((kept(Some(&one)), names()), (new, 2));
    }

    #[test]
    fn where_no_file_can_be_there_is_a_key_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("none").join("one.redb");
        assert_ne!(kept(Some(&nowhere)), kept(Some(&nowhere)));
    }
}
