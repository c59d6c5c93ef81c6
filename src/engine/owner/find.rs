//! How a process that does not have the lock of a file finds the one that has.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host::{Host, is_local, is_running, user};
use super::places::Places;
use super::record::OwnerRecord;
use crate::engine::shared::ConnectError;
use crate::error::Error;

/// What the owner record says, here and now.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is no owner that could be reached. Whether there is one all the same, the lock says; then this is why it
    /// cannot be reached.
    Nobody(Obstacle),
    Here {
        record: Box<OwnerRecord>,
        socket: PathBuf,
    },
    /// The lock cannot be trusted either.
    Barred(Obstacle),
}

/// Why a store that is in use cannot be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) reason: String,
    /// It will not go away by itself while the owner is there.
    pub(crate) lasting: bool,
    /// The lock cannot be trusted either.
    pub(crate) bars: bool,
    /// An error that says more than that the store is in use.
    error: Option<Box<Error>>,
}

impl Obstacle {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: false, bars: false, error: None }
    }

    pub(crate) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: true, bars: false, error: None }
    }

    pub(crate) fn barring(reason: impl Into<String>) -> Self {
        Self { bars: true, ..Self::lasting(reason) }
    }

    /// How connecting to the process of this record ended.
    pub(crate) fn of(record: &OwnerRecord, error: ConnectError) -> Self {
        let lasting = matches!(
            error,
            ConnectError::OtherUser { .. } | ConnectError::OtherStore { .. } | ConnectError::Protocol { .. }
        );
        let says_all = matches!(error, ConnectError::Silent { .. } | ConnectError::Protocol { .. });
        let error = Error::from(error);
        let reason = format!("{}: {error}", record.who());
        Self { reason, lasting, bars: false, error: says_all.then(|| Box::new(error)) }
    }

    /// So many wait for it to take them in that it does not look as if it ever did.
    pub(crate) fn full(record: &OwnerRecord, waited: Duration) -> Self {
        let error = Error::NoAnswer { owner: record.pid, seconds: waited.as_secs() };
        Self { reason: error.to_string(), lasting: false, bars: false, error: Some(Box::new(error)) }
    }

    /// For who opens the store of this name.
    pub(crate) fn into_error(self, name: &str) -> Error {
        match self.error {
            Some(error) => *error,
            None => Error::Locked { path: name.to_owned(), reason: self.reason },
        }
    }
}

/// Reads the record and judges it.
pub(crate) fn find(places: &Places, host: &Host) -> Found {
    let path = places.record();
    let nobody = |reason: String| Found::Nobody(Obstacle::passing(reason));
    let (record, uid) = match OwnerRecord::read(&path) {
        Ok(read) => read,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return nobody(format!(
                "its owner does not share it, or is just opening or closing it, or a process that only \
                 reads it, such as `retold verify`, keeps it locked: there is no {}",
                path.display()
            ));
        }
        Err(e) => return nobody(format!("its owner record {} cannot be read: {e}", path.display())),
    };
    judge(places, host, record, uid)
}

fn judge(places: &Places, host: &Host, record: OwnerRecord, uid: u32) -> Found {
    let who = record.who();
    if !host.is_same_machine(&record.host) && !is_local(places.folder()) {
        let (there, file) = (&record.host.name, places.record());
        return Found::Barred(Obstacle::barring(format!(
            "{who} on {there} has it, and a file lock may not reach that machine; close it there, or, once that \
             process is certainly gone, remove {}",
            file.display()
        )));
    }
    if host.is_elsewhere(&record.host) {
        // This file system is this machine's alone, so its lock holds: that owner ended with an earlier start.
        let reason = format!("{who} had it before this machine was started");
        return Found::Nobody(Obstacle::passing(reason));
    }
    if uid != user() && user() != 0 {
        let reason = format!("{who} is a process of user {uid}; only processes of one user share a store");
        return Found::Nobody(Obstacle::lasting(reason));
    }
    // The ids of processes of another container mean nothing here; its sockets do.
    if record.host.pids == host.pids && !is_running(record.pid, record.start) {
        return Found::Nobody(Obstacle::passing(format!(
            "{who}, which had it, has ended, but the file is still locked: a child that it forked may have it open"
        )));
    }
    match &record.socket {
        Some(socket) => Found::Here { socket: places.socket_of(socket), record: Box::new(record) },
        None => {
            let why = record.unshared.as_deref().unwrap_or("it gives no reason");
            Found::Nobody(Obstacle::passing(format!("{who} does not share it: {why}")))
        }
    }
}

/// Connects without waiting: a process that is stopped accepts nobody, and sooner or later its queue is full.
#[cfg(target_os = "linux")]
pub(crate) fn connect_to(socket: &Path) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&fd, &address)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Here a full queue refuses at once.
#[cfg(not(target_os = "linux"))]
pub(crate) fn connect_to(socket: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::super::host::start_of;
    use super::*;
    use crate::engine::rank::Rank;
    use crate::event::{EventId, StoreId};

    fn beside(dir: &Path) -> Places {
        let path = dir.join("runs.redb");
        fs::write(&path, "").unwrap();
        Places::of(&path).unwrap()
    }

    fn record() -> OwnerRecord {
        let pid = std::process::id();
        OwnerRecord {
            pid,
            start: start_of(pid),
            host: Host::this(),
            program: "test".into(),
            rank: Rank::Application,
            since: 0,
            store: StoreId::new(),
            opening: EventId::new(),
            socket: Some("x.sock".into()),
            unshared: None,
        }
    }

    /// What is said of an owner that cannot be reached.
    fn said(found: Found) -> Obstacle {
        match found {
            Found::Nobody(obstacle) | Found::Barred(obstacle) => obstacle,
            Found::Here { record, .. } => panic!("{record:?}"),
        }
    }

    #[test]
    fn a_record_of_this_process_leads_to_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let places = beside(dir.path());
        assert!(said(find(&places, &Host::this())).reason.contains("there is no"));
        record().write(&places.record()).unwrap();
        match find(&places, &Host::this()) {
            Found::Here { socket, .. } => assert_eq!(socket, places.folder().join("x.sock")),
            found => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_number_that_was_used_again_is_not_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let places = beside(dir.path());
        let record = record();
        let reused = OwnerRecord { start: record.start.map(|start| start - 1), ..record };
        let reused = if reused.start.is_none() { OwnerRecord { pid: 1 << 22, ..reused } } else { reused };
        assert!(said(judge(&places, &Host::this(), reused, user())).reason.contains("has ended"));
    }

    #[test]
    fn an_earlier_start_of_this_machine_is_over_and_another_machine_is_not_judged() {
        let dir = tempfile::tempdir().unwrap();
        let places = beside(dir.path());
        let host = Host { boot: "another".into(), ..Host::this() };
        let earlier = OwnerRecord { host: host.clone(), ..record() };
        let said_of = |record| said(judge(&places, &Host::this(), record, user())).reason;
        assert!(said_of(earlier).contains("before this machine was started"));
        let other = OwnerRecord { host: Host { name: "elsewhere".into(), ..host }, ..record() };
        let found = judge(&places, &Host::this(), other, user());
        // A lock on a file system of this machine alone holds, whatever the record says.
        assert_eq!(matches!(found, Found::Barred(_)), !is_local(places.folder()));
        let of_network = said_of_network(&places);
        assert!(of_network.lasting && of_network.reason.contains("on elsewhere"), "{of_network:?}");
    }

    fn said_of_network(places: &Places) -> Obstacle {
        // No such folder: nothing says that it is local.
        let places = places.moved(Path::new("/nonexistent"));
        let host = Host { boot: "another".into(), name: "elsewhere".into(), ..Host::this() };
        said(judge(&places, &Host::this(), OwnerRecord { host, ..record() }, user()))
    }

    #[test]
    fn an_owner_without_a_socket_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let places = beside(dir.path());
        let record = OwnerRecord { socket: None, unshared: Some("it is exclusive".into()), ..record() };
        let obstacle = said(judge(&places, &Host::this(), record, user()));
        assert!(obstacle.reason.ends_with("does not share it: it is exclusive"), "{obstacle:?}");
    }

    #[test]
    fn a_record_of_another_user_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let places = beside(dir.path());
        let found = judge(&places, &Host::this(), record(), 4_242);
        // Root reads everything.
        assert_eq!(matches!(found, Found::Here { .. }), user() == 0);
    }

    #[test]
    fn connecting_to_one_that_accepts_nobody_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sock");
        assert!(connect_to(&path).is_err());
        let _listener = UnixListener::bind(&path).unwrap();
        let streams: Vec<_> = (0..10_000).map_while(|_| connect_to(&path).ok()).collect();
        assert!(!streams.is_empty() && streams.len() < 10_000);
    }
}
