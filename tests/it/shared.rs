//! A store that several processes use: the engine over a socket.

use std::path::PathBuf;

use retold::testkit::Sharing;
use retold::testkit::conformance::{self, Capability, Conformance, Home, cases};
use retold::{Builder, NewEvent, Result, Store};

/// The file engine over a pair of sockets, both ends in this process.
struct OverSocket {
    folder: tempfile::TempDir,
    made: u32,
    settings: Builder,
    owners: Vec<(Sharing, Store)>,
}

impl OverSocket {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), made: 0, settings: Builder::new(), owners: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.redb", self.made))
    }

    fn client(&mut self, owner: Store, settings: Builder) -> Result<Store> {
        self.owners.retain(|(sharing, _)| !sharing.clients().is_empty());
        self.settings = settings.clone();
        let sharing = Sharing::of(&owner, None)?;
        let client = sharing.client(settings)?;
        self.owners.push((sharing, owner));
        Ok(client)
    }
}

impl Home for OverSocket {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        self.made += 1;
        let owner = settings.clone().create_only().open(self.path())?;
        self.client(owner, settings)
    }

    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        drop(self.owners.pop());
        let owner = settings.clone().open_only().open(self.path())?;
        self.client(owner, settings).map(Some)
    }

    fn beside(&mut self, _: &Store) -> Result<Store> {
        let (sharing, _) = self.owners.last().unwrap();
        sharing.client(self.settings.clone())
    }
}

fn shown(engine: &str, conformance: &Conformance) {
    println!("{engine}: {conformance}");
    assert!(conformance.is_clean(), "{engine}: {conformance}");
    assert_eq!(conformance.passed.len() + conformance.skipped.len(), cases().len());
    assert!(conformance.skipped.iter().all(|(_, missing)| *missing == Capability::Crash));
}

#[test]
fn the_shared_engine_passes_every_case_over_a_pair_of_sockets() {
    shown("over a socket", &conformance::run(&mut OverSocket::new()));
}

#[test]
fn a_client_appends_and_the_owner_reads() {
    let owner = Store::in_memory().unwrap();
    let sharing = Sharing::of(&owner, None).unwrap();
    let client = sharing.client(Builder::new()).unwrap();
    assert_eq!(client.append("s", NewEvent::new("a.b")).unwrap().last().get(), 1);
    assert_eq!(owner.append("s", NewEvent::new("a.b")).unwrap().last().get(), 2);
    assert_eq!((client.head("s").unwrap(), client.id()), (2.into(), owner.id()));
}
