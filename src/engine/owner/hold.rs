//! What the holder of a file's lock puts beside the file so that it is found, and takes away again. Nobody else writes or
//! removes any of it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::places::Places;
use super::record::OwnerRecord;
use crate::error::{Error, Result};
use crate::files::remove;

/// What is there for others to find.
#[derive(Debug)]
pub(crate) struct Held {
    places: Places,
    socket: Option<PathBuf>,
}

impl Held {
    pub(crate) fn new(places: Places) -> Self {
        Self { places, socket: None }
    }

    /// Removes what an earlier owner left, and binds the socket.
    ///
    /// # Errors
    /// Why there can be no socket.
    pub(crate) fn bind(&mut self) -> std::result::Result<(UnixListener, PathBuf), String> {
        // First the record: nobody is to be led to the socket of somebody else.
        let record = self.places.record();
        remove(&record).map_err(|e| format!("{} cannot be removed: {e}", record.display()))?;
        let mut why = Vec::new();
        for path in self.places.sockets() {
            let bound = path.and_then(|path| match bound(&path) {
                Ok(listener) => Ok((listener, path)),
                Err(e) => Err(format!("{} cannot be made: {e}", path.display())),
            });
            match bound {
                Ok((listener, path)) => {
                    self.socket = Some(path.clone());
                    return Ok((listener, path));
                }
                Err(reason) => why.push(reason),
            }
        }
        Err(why.join("; "))
    }

    /// Lets `rename` give the store's name to another file, with what is there for others to find.
    ///
    /// # Errors
    /// Those of `rename`, and that it cannot be found there. Then everything is as it was.
    pub(crate) fn move_to(&mut self, places: &Places, rename: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let old = self.places.record();
        let failed = |e: io::Error| Error::storage(format!("{} cannot be replaced: {e}", old.display()));
        let mut record = match OwnerRecord::read(&old) {
            Ok((record, _)) => record,
            // Nobody finds it: it is not shared.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                rename()?;
                self.places = places.clone();
                return Ok(());
            }
            Err(e) => return Err(failed(e)),
        };
        let sockets = self.socket.take().map(|from| {
            let beside = |path: &PathBuf| path.parent() == from.parent();
            let to = places.sockets().into_iter().flatten().find(beside).unwrap_or_else(|| from.clone());
            (from, to)
        });
        if let Some((from, to)) = &sockets {
            self.socket = Some(from.clone());
            fs::rename(from, to).map_err(failed)?;
            self.socket = Some(to.clone());
            record.socket = Some(to.clone());
        }
        let new = places.record();
        match record.write(&new).map_err(failed).and_then(|()| rename()) {
            Ok(()) => {
                self.places = places.clone();
                if let Err(error) = remove(&old) {
                    tracing::warn!(path = %old.display(), %error, "it cannot be removed");
                }
                Ok(())
            }
            Err(error) => {
                let _ = remove(&new);
                if let Some((from, to)) = sockets
                    && fs::rename(&to, &from).is_ok()
                {
                    self.socket = Some(from);
                }
                Err(error)
            }
        }
    }

    /// The file that continues the one before: nothing is there of either.
    pub(crate) fn follow(&mut self, places: Places) {
        self.places = places;
    }

    pub(crate) fn publish(&self, record: &OwnerRecord) -> std::result::Result<(), String> {
        let path = self.places.record();
        record.write(&path).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    /// The record goes first: whoever finds it finds the socket.
    pub(crate) fn withdraw(&mut self) {
        let record = self.places.record();
        for path in [Some(record), self.socket.take()].into_iter().flatten() {
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "it cannot be removed");
            }
        }
    }
}

/// The socket appears under its name when it takes connections, for this user only.
fn bound(path: &std::path::Path) -> io::Result<UnixListener> {
    let mut draft = path.as_os_str().to_owned();
    draft.push("~");
    let draft = PathBuf::from(draft);
    remove(&draft)?;
    let listener = UnixListener::bind(&draft)?;
    let named = fs::set_permissions(&draft, fs::Permissions::from_mode(0o600));
    let named = named.and_then(|()| fs::rename(&draft, path));
    match named {
        Ok(()) => Ok(listener),
        Err(e) => {
            let _ = fs::remove_file(&draft);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_replaces_one_that_was_left_and_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.redb");
        fs::write(&path, "").unwrap();
        let places = Places::of(&path).unwrap();
        drop(Held::new(places.clone()).bind().unwrap());
        let mut held = Held::new(places);
        let (listener, socket) = held.bind().unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(&socket).unwrap();
        listener.accept().unwrap();
        held.withdraw();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_any_folder_for_a_socket_it_is_said_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.redb");
        fs::write(&path, "").unwrap();
        let places = Places::of(&path).unwrap();
        // What has the name of the socket cannot be replaced by one.
        let socket = places.sockets().remove(0).unwrap();
        fs::create_dir(&socket).unwrap();
        match bound(&socket) {
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::IsADirectory),
            Ok(_) => panic!("a folder was replaced by a socket"),
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
