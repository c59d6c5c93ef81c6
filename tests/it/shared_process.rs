//! A store whose owner is another process.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use fork::{Fork, fork};
use retold::testkit::Sharing;
use retold::testkit::conformance::{self, Capability, Home, cases};
use retold::{Builder, Error, Follow, NewEvent, Result, Store};

use crate::peer::until_stopped;
use crate::support::Dice;
use crate::victim::{Victim, orders, tell};

const OWNER: &str = "shared_process::owns_a_store_until_it_is_killed";
const WAIT: Duration = Duration::from_secs(60);

/// What an owner is told to do.
const WRITE: u64 = 0;
const READ: u64 = 1;
/// It forks a child, which holds everything that it holds for as long as the test wants.
const FORK: u64 = 2;

fn socket(store: &std::path::Path) -> PathBuf {
    store.with_extension("socket")
}

#[test]
#[ignore = "the owner, which others begin"]
fn owns_a_store_until_it_is_killed() {
    let Some((path, how)) = orders() else { return };
    let settings = Builder::new();
    let settings = if how == READ { settings.read_only() } else { settings };
    let store = loop {
        match settings.clone().open(&path) {
            // The owner before it has just been killed.
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let _ = std::fs::remove_file(socket(&path));
    let listener = UnixListener::bind(socket(&path)).unwrap();
    let _sharing = Sharing::of(&store, Some(listener)).unwrap();
    if how == FORK
        && let Fork::Child = fork().unwrap()
    {
        let mut kept = UnixStream::connect(path.with_extension("keeper")).unwrap();
        let _ = kept.read(&mut [0]);
        std::process::exit(0);
    }
    tell("ready\n");
    loop {
        std::thread::park();
    }
}

/// An owner in another process.
pub(crate) struct Owned {
    path: PathBuf,
    owner: Option<Victim>,
}

impl Owned {
    pub(crate) fn begin(path: PathBuf, how: u64) -> Self {
        let mut owner = Victim::begin(OWNER, &path, how);
        owner.until(1, |line| line.ends_with("ready"));
        Self { path, owner: Some(owner) }
    }

    pub(crate) fn client(&self, settings: Builder, wait: Duration) -> Result<Store> {
        Sharing::connect(UnixStream::connect(socket(&self.path)).unwrap(), settings, wait)
    }

    fn kill(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.kill(&mut Dice(1), 1);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The file engine in another process, which is killed where others close.
struct Elsewhere {
    folder: tempfile::TempDir,
    made: u32,
    settings: Builder,
    owned: Vec<Owned>,
}

impl Elsewhere {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.redb", self.made))
    }

    fn client(&mut self, settings: Builder, how: u64) -> Result<Store> {
        let owned = Owned::begin(self.path(), how);
        self.settings = settings.clone();
        let client = owned.client(settings, WAIT)?;
        self.owned.push(owned);
        Ok(client)
    }
}

impl Home for Elsewhere {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        if self.owned.len() > 4 {
            drop(self.owned.remove(0));
        }
        self.made += 1;
        self.client(settings, WRITE)
    }

    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        drop(self.owned.pop());
        let how = if format!("{settings:?}").contains("read_only: true") { READ } else { WRITE };
        self.client(settings, how).map(Some)
    }

    fn beside(&mut self, _: &Store) -> Result<Store> {
        self.owned.last().unwrap().client(self.settings.clone(), WAIT)
    }
}

#[test]
fn the_shared_engine_passes_every_case_with_its_owner_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut home = Elsewhere { folder, made: 0, settings: Builder::new(), owned: Vec::new() };
    let conformance = conformance::run(&mut home);
    println!("with the owner in another process: {conformance}");
    assert!(conformance.is_clean(), "{conformance}");
    assert_eq!(conformance.passed.len() + conformance.skipped.len(), cases().len());
    assert!(conformance.skipped.iter().all(|(_, missing)| *missing == Capability::Crash));
}

#[test]
fn followers_end_with_an_error_when_the_owner_is_killed_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let mut owned = Owned::begin(path.clone(), WRITE);
    let client = owned.client(Builder::new(), WAIT).unwrap();
    let mut following = client.follow(Follow::session("s").unwrap()).unwrap().blocking();
    for _ in 0..50 {
        client.append("s", NewEvent::new("a.b")).unwrap();
    }
    let mut seen = 0;
    while seen < 50 {
        seen += u64::from(following.next().unwrap().unwrap().event().is_some());
    }
    owned.kill();
    let lost = |result: Result<()>| matches!(result, Err(Error::OwnerLost { .. } | Error::Unknown { .. }));
    assert!(lost(client.append("s", NewEvent::new("a.b")).map(drop)));
    assert!(lost(client.head("s").map(drop)));
    let owned = Owned::begin(path, WRITE);
    let client = owned.client(Builder::new(), WAIT).unwrap();
    assert!(client.head("s").unwrap().get() >= 50);
}

#[test]
fn an_owner_that_is_stopped_is_named_and_goes_on_when_it_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let owned = Owned::begin(folder.path().join("s.redb"), WRITE);
    let pid = owned.owner.as_ref().unwrap().id();
    let wait = Duration::from_millis(500);
    let client = owned.client(Builder::new(), wait).unwrap();
    // By one that waits longer, since the machine may be busy.
    owned.client(Builder::new(), WAIT).unwrap().append("s", NewEvent::new("a.b")).unwrap();
    signal("STOP", pid);
    assert_eq!(client.head("s").unwrap_err(), Error::NoAnswer { owner: pid, seconds: 0 });
    let event = NewEvent::new("a.b");
    let unknown = client.append("s", event.clone());
    assert!(
        matches!(&unknown, Err(Error::Unknown { reason }) if reason.contains(&pid.to_string())),
        "{unknown:?}"
    );
    assert!(matches!(owned.client(Builder::new(), wait), Err(Error::NoAnswer { owner, .. }) if owner == pid));
    signal("CONT", pid);
    // It was sent, so it is written now, once.
    let retried = loop {
        match client.append("s", event.clone()) {
            Err(Error::Unknown { .. } | Error::NoAnswer { .. }) => {}
            other => break other.unwrap(),
        }
    };
    assert!(retried.duplicate());
    assert_eq!(client.head("s").unwrap().get(), 2);
}

fn signal(name: &str, pid: u32) {
    let done = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(done.unwrap().success());
    if name == "STOP" {
        until_stopped(pid);
    }
}

#[test]
fn the_end_of_an_owner_is_noticed_though_a_child_that_it_forked_holds_its_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let keeper = UnixListener::bind(path.with_extension("keeper")).unwrap();
    let mut owned = Owned::begin(path, FORK);
    let (_child, _) = keeper.accept().unwrap();
    let client = owned.client(Builder::new(), Duration::from_millis(300)).unwrap();
    owned.client(Builder::new(), WAIT).unwrap().append("s", NewEvent::new("a.b")).unwrap();
    owned.owner.take().unwrap().end();
    // Nobody hangs up, and nobody answers.
    let ended = loop {
        match client.head("s").unwrap_err() {
            Error::NoAnswer { .. } => {}
            other => break other,
        }
    };
    assert!(matches!(ended, Error::OwnerLost { .. }), "{ended:?}");
}

/// Calls an owner until it is killed, and tells of every call without an answer.
#[test]
#[ignore = "the client, which another test begins"]
fn calls_without_end() {
    let Some((path, _)) = orders() else { return };
    let wait = Duration::from_millis(1_500);
    let client = Sharing::connect(UnixStream::connect(socket(&path)).unwrap(), Builder::new(), wait).unwrap();
    tell("ready\n");
    for n in 0.. {
        if let Err(e) = client.head("s") {
            tell(&format!("failed {e}\n"));
        }
        if n % 100 == 0 {
            tell("calls\n");
        }
    }
}

#[test]
fn a_client_that_was_stopped_hears_what_was_answered_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let owner = Store::in_memory().unwrap();
    owner.append("s", NewEvent::new("a.b")).unwrap();
    let _sharing = Sharing::of(&owner, Some(UnixListener::bind(socket(&path)).unwrap())).unwrap();
    let mut client = Victim::begin("shared_process::calls_without_end", &path, 0);
    client.until(1, |line| line.ends_with("ready"));
    let mut failed = Vec::new();
    for _ in 0..6 {
        signal("STOP", client.id());
        // Longer than it waits.
        std::thread::sleep(Duration::from_millis(1_800));
        signal("CONT", client.id());
        // Two, since one may have been said before.
        client.until(2, |line| {
            failed.extend(line.contains("failed").then(|| line.to_owned()));
            line.ends_with("calls")
        });
    }
    failed.extend(client.kill(&mut Dice(1), 1).into_iter().filter(|line| line.contains("failed")));
    assert!(failed.is_empty(), "{failed:?}");
}
