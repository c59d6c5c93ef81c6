//! The owner record: who has a store's file, and how it is reached. A file beside the store for people and processes,
//! written by the holder of the lock as a whole, under another name first.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::engine::rank::Rank;
use crate::event::{EventId, StoreId, Timestamp};
use crate::files::remove;
use crate::limits::MAX_OWNER_RECORD_BYTES;

/// A release that writes more adds fields; those that it does not know, a reader passes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnerRecord {
    pub(crate) pid: u32,
    /// When the process began: see [`start_of`](super::host::start_of).
    pub(crate) start: Option<u64>,
    pub(crate) host: Host,
    pub(crate) program: String,
    pub(crate) rank: Rank,
    /// Microseconds since the epoch.
    pub(crate) since: i64,
    pub(crate) store: StoreId,
    pub(crate) opening: EventId,
    /// A path, or a name in the folder of the record.
    pub(crate) socket: Option<PathBuf>,
    /// Why there is no socket.
    pub(crate) unshared: Option<String>,
}

impl OwnerRecord {
    /// Writes it under this name, for this user only. What had the name before is gone.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let draft = path.with_extension("owner.new");
        remove(&draft)?;
        let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let written = options.open(&draft).and_then(|mut file| file.write_all(&bytes));
        let written = written.and_then(|()| fs::rename(&draft, path));
        written.inspect_err(|_| drop(fs::remove_file(&draft)))
    }

    /// The record of this name, and the user it belongs to.
    pub(crate) fn read(path: &Path) -> io::Result<(Self, u32)> {
        let mut options = File::options();
        // A link, or a pipe that nobody writes, is not a record.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = options.read(true).custom_flags(flags.bits() as i32).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a plain file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_OWNER_RECORD_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_OWNER_RECORD_BYTES {
            let reason = format!("it has more than {MAX_OWNER_RECORD_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let record = serde_json::from_slice(&bytes)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("it is no owner record: {e}")))?;
        Ok((record, meta.uid()))
    }

    /// How the owner is named in messages.
    pub(crate) fn who(&self) -> String {
        let program: String = self.program.chars().filter(|c| !c.is_control()).take(64).collect();
        let since = Timestamp::from_micros(self.since);
        format!("process {} ({program}, since {since})", self.pid)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn record() -> OwnerRecord {
        OwnerRecord {
            pid: 7,
            start: Some(8),
            host: Host::this(),
            program: "test".into(),
            rank: Rank::Serve,
            since: 9,
            store: StoreId::new(),
            opening: EventId::new(),
            socket: Some(".retold.1.sock".into()),
            unshared: None,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".retold.1.owner");
        let one = record();
        record().write(&path).unwrap();
        one.write(&path).unwrap();
        assert_eq!(OwnerRecord::read(&path).unwrap(), (one, super::super::host::user()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".retold.1.owner");
        let read = || OwnerRecord::read(&path).unwrap_err().kind();
        assert_eq!(read(), io::ErrorKind::NotFound);
        for bytes in [&b""[..], b"{}", b"{\"pid\": -1}", &[0; 100], &[b' '; 9_000]] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(), io::ErrorKind::InvalidData);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(OwnerRecord::read(&path).is_err());
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(OwnerRecord::read(&path).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("r");
            fs::write(&path, bytes).unwrap();
            prop_assert!(OwnerRecord::read(&path).is_err());
        }

        #[test]
        fn a_damaged_record_is_read_or_an_error(at in 0..200usize, byte in any::<u8>(), len in 0..600usize) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("r");
            let mut bytes = serde_json::to_vec(&record()).unwrap();
            bytes[at] = byte;
            bytes.truncate(len);
            fs::write(&path, bytes).unwrap();
            if let Ok((record, _)) = OwnerRecord::read(&path) {
                prop_assert!(record.who().len() < 400);
            }
        }
    }
}
