//! A store that another machine serves: the shared engine over the network, and what can go wrong on the way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream as StdTcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use retold::codec::Bounded;
use retold::codec::link::{HelloBody, LinkHead, SentAnswer, SentAsk, SentGreeting, SentHello, SentWelcome};
use retold::store::remote::{Dialer, Dialing, Duplex, RemoteHost};
use retold::testkit::conformance::{self, Capability, Home, cases};
use retold::{Builder, Error, Follow, NewEvent, Result, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// For what has to happen soon, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

/// Connections over TCP.
#[derive(Clone, Copy, Debug)]
struct Tcp(SocketAddr);

impl Dialer for Tcp {
    fn name(&self) -> String {
        format!("tcp://{}", self.0)
    }

    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            let reached = TcpStream::connect(self.0).await;
            let reached =
                reached.map_err(|e| Error::Unreachable { store: self.name(), reason: e.to_string() })?;
            Ok(Box::new(reached) as Box<dyn Duplex>)
        })
    }
}

/// Serves a store over TCP, on a runtime of its own.
struct Served {
    host: Arc<RemoteHost>,
    address: SocketAddr,
    /// The connections that it has accepted.
    accepted: Arc<Mutex<Vec<StdTcpStream>>>,
    _runtime: Runtime,
}

impl Served {
    fn new(store: &Store) -> Self {
        Self::at(store, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn at(store: &Store, address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let host = Arc::new(RemoteHost::new(store, "the server"));
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let accepted = Arc::<Mutex<Vec<StdTcpStream>>>::default();
        let (serves, notes) = (host.clone(), accepted.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().unwrap();
                notes.lock().unwrap().push(stream.try_clone().unwrap());
                let (stream, host) = (TcpStream::from_std(stream).unwrap(), serves.clone());
                tokio::spawn(async move { host.serve(stream).await });
            }
        });
        Self { host, address, accepted, _runtime: runtime }
    }

    fn client(&self, settings: Builder) -> Result<Store> {
        settings.wait(LIMIT).connect_with(Tcp(self.address))
    }

    /// Cuts all connections, as a network does that goes down.
    fn cut(&self) {
        for stream in self.accepted.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The file engine over the network, both ends in this process.
struct OverNetwork {
    folder: tempfile::TempDir,
    made: u32,
    settings: Builder,
    owners: Vec<(Served, Store)>,
}

impl OverNetwork {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.redb", self.made))
    }

    fn client(&mut self, owner: Store, settings: Builder) -> Result<Store> {
        self.owners.retain(|(served, _)| served.host.clients() > 0);
        self.settings = settings.clone();
        let served = Served::new(&owner);
        let client = served.client(settings)?;
        self.owners.push((served, owner));
        Ok(client)
    }
}

impl Home for OverNetwork {
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
        let (served, _) = self.owners.last().unwrap();
        served.client(self.settings.clone())
    }
}

/// Not mended yet, and beside the file they pass: a read right after another program has deleted or truncated the branch can still
/// be answered by what was known of it.
const LEFT: [&str; 2] =
    ["deleting::the_name_of_a_deleted_branch_begins_anew", "truncating::a_truncated_branch_begins_later"];

#[test]
fn the_shared_engine_passes_its_cases_over_the_network() {
    let mut home = OverNetwork {
        folder: tempfile::tempdir().unwrap(),
        made: 0,
        settings: Builder::new(),
        owners: Vec::new(),
    };
    let conformance = conformance::run(&mut home);
    println!("over the network: {conformance}");
    let failed: Vec<&str> = conformance.failed.iter().map(|(name, _)| *name).collect();
    assert!(failed.iter().all(|name| LEFT.contains(name)), "over the network: {conformance}");
    assert_eq!(conformance.passed.len() + conformance.skipped.len() + failed.len(), cases().len());
    assert!(conformance.skipped.iter().all(|(_, missing)| *missing == Capability::Crash));
}

#[test]
fn connections_that_are_cut_lose_and_repeat_nothing() {
    let owner = Store::in_memory().unwrap();
    let served = Served::new(&owner);
    let (writer, reader) = (served.client(Builder::new()).unwrap(), served.client(Builder::new()).unwrap());
    let mut following = reader.follow(Follow::session("s").unwrap()).unwrap().blocking();
    let writing = std::thread::spawn(move || {
        for n in 0..300_u32 {
            let one = event().data(serde_json::json!(n));
            // It may have been recorded: the same ids again are safe.
            while let Err(error) = writer.append("s", one.clone()) {
                assert!(error.is_retryable(), "{error}");
            }
        }
    });
    let mut seen = 0_u64;
    while seen < 300 {
        match following.next().unwrap() {
            Ok(step) => {
                if let Some(event) = step.event() {
                    assert_eq!((event.sequence().get(), event.json::<u64>().unwrap()), (seen + 1, seen));
                    seen += 1;
                    if seen.is_multiple_of(20) {
                        served.cut();
                    }
                }
            }
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    writing.join().unwrap();
    assert_eq!(owner.head("s").unwrap().get(), 300);
}

#[test]
fn a_server_that_leaves_answers_what_was_begun_and_its_successor_goes_on() {
    let owner = Store::in_memory().unwrap();
    let mut served = Served::new(&owner);
    let address = served.address;
    let client = served.client(Builder::new()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let writing = std::thread::spawn(move || {
        for _ in 0..200 {
            // Nobody is left in doubt by one that leaves politely.
            client.append("s", event()).unwrap();
            let _ = tell.send(());
        }
    });
    for _ in 0..3 {
        (0..20).for_each(|_| told.recv_timeout(LIMIT).unwrap());
        served.host.drain(Duration::from_secs(10));
        drop(served);
        served = Served::at(&owner, address);
    }
    writing.join().unwrap();
    assert_eq!(owner.head("s").unwrap().get(), 200);
}

#[test]
fn a_store_that_is_closed_at_the_server_is_out_of_reach() {
    let owner = Store::in_memory().unwrap();
    let served = Served::new(&owner);
    let wait = Duration::from_millis(50);
    let client = Builder::new().wait(wait).connect_with(Tcp(served.address)).unwrap();
    client.append("s", event()).unwrap();
    owner.close().unwrap();
    let error = client.append("s", event()).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let begun = Instant::now();
    let error = Builder::new().wait(wait).connect_with(Tcp(served.address)).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && begun.elapsed() < LIMIT, "{error}");
    client.close().unwrap();
}

#[test]
fn another_store_at_the_same_place_is_not_taken_for_the_one_that_was_opened() {
    let (owner, other) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    let served = Served::new(&owner);
    let address = served.address;
    let client = Builder::new().wait(Duration::from_millis(50)).connect_with(Tcp(address)).unwrap();
    served.cut();
    drop(served);
    let _served = Served::at(&other, address);
    let begun = Instant::now();
    loop {
        let error = client.append("s", event()).unwrap_err();
        assert!(error.is_retryable(), "{error}");
        if error.to_string().contains(&other.id().to_string()) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{error}");
    }
    assert_eq!(other.committed().get(), 0);
}

#[test]
fn a_backup_comes_to_who_asks_for_it_and_names_no_file_of_the_server() {
    let (folder, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let owner = Store::open(folder.path().join("a.redb")).unwrap();
    let served = Served::new(&owner);
    let client = served.client(Builder::new()).unwrap();
    // More than one part.
    let payload = "x".repeat(300_000);
    let random = |n: u64| event().data(serde_json::json!([retold::EventId::new().to_string(), n, payload]));
    client.append("s", (0..8).map(random).collect::<Vec<_>>()).unwrap();
    let to = away.path().join("backup.redb");
    let mut told = 0;
    let made = client.maintenance().backup_with(&to, None, |_, _| told += 1).unwrap();
    assert_eq!((made.position, made.bytes), (8.into(), std::fs::metadata(&to).unwrap().len()));
    assert!(told > 1, "{told}");
    let copy = Builder::new().open_only().open(&to).unwrap();
    assert!(copy.maintenance().verify().unwrap().is_clean());
    assert_eq!((copy.id(), copy.head("s").unwrap()), (owner.id(), 8.into()));
    copy.close().unwrap();
    assert!(matches!(client.maintenance().backup(&to), Err(Error::Exists { .. })));
    let error = client.maintenance().backup_since(&to, away.path().join("later.redb")).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("retold backup"), "{error}");
    // Nor does a client that asks all the same get one under a name.
    let mut stream = StdTcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    greet(&mut stream);
    let named = folder.path().join("named.redb");
    let path = named.to_str().unwrap();
    for (call, ask) in [
        (1, SentAsk::Backup(path)),
        (2, SentAsk::BackupSince(path, path)),
        // No copy was made on this connection.
        (3, SentAsk::CopyPart(0)),
    ] {
        stream.write_all(&ask.message(call, 512)).unwrap();
        let (of, body) = frame(&mut stream);
        assert!(of == call && matches!(SentAnswer::decode(&body), Ok(SentAnswer::Failed(_))), "{call}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let is_of_a_copy = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".new");
    assert!(!named.exists() && !left.iter().any(is_of_a_copy), "{left:?}");
    assert!(client.maintenance().verify().unwrap().is_clean());
    client.maintenance().compact().unwrap();
}

/// Says hello, and hears the welcome.
fn greet(stream: &mut StdTcpStream) {
    let body = HelloBody { program: "raw", rank: 9, store: None, wait: 10_000 };
    stream.write_all(&SentHello { oldest: 1, newest: 1, hello: Some(body) }.message()).unwrap();
    let (_, body) = frame(stream);
    assert!(matches!(SentGreeting::decode(&body), Ok(SentGreeting::Welcome(1, _))));
}

fn frame(stream: &mut StdTcpStream) -> (u64, Vec<u8>) {
    let mut header = [0; 16];
    stream.read_exact(&mut header).unwrap();
    let head = LinkHead::decode(&header).unwrap();
    let mut body = vec![0; head.len as usize];
    stream.read_exact(&mut body).unwrap();
    (head.call, body)
}

/// What a server says first that lets everybody in.
fn welcome() -> Vec<u8> {
    let welcome = SentWelcome {
        pid: 1,
        program: "owner",
        rank: 0,
        since: 0,
        payload_bytes: 1 << 20,
        committed: 0,
        store: [1; 16],
        opening: [2; 16],
        created: 0,
        format: 2,
        damage: Bounded(vec![]),
        lacks: None,
    };
    SentGreeting::Welcome(1, Box::new(welcome)).message()
}

/// A server that says this, whatever it hears, and ends or stays.
#[derive(Debug)]
struct Says {
    bytes: Vec<u8>,
    stays: bool,
}

impl Dialer for Says {
    fn name(&self) -> String {
        "https://hostile.example:1".to_owned()
    }

    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            let (own, mut other) = tokio::io::duplex(4_096);
            let (bytes, stays) = (self.bytes.clone(), self.stays);
            tokio::spawn(async move {
                let _ = other.write_all(&bytes).await;
                if stays {
                    let _ = other.read_to_end(&mut Vec::new()).await;
                }
            });
            Ok(Box::new(own) as Box<dyn Duplex>)
        })
    }
}

#[test]
fn a_server_that_says_anything_else_is_given_up_and_costs_little() {
    let huge = LinkHead { len: 1 << 20, total: 600 << 20, call: 0 }.encode();
    let old = SentGreeting::Protocol(7, 9).message();
    let settings = || Builder::new().wait(Duration::from_millis(1));
    for (bytes, stays, is_passing) in [
        (b"HTTP/1.1 200 OK\r\n\r\n<html>".to_vec(), true, true),
        (vec![0xFF; 100_000], true, true),
        (huge.to_vec(), true, true),
        (Vec::new(), true, true),
        (Vec::new(), false, true),
        (SentGreeting::Leaving.message(), false, true),
        (SentGreeting::Busy(256).message(), false, true),
        (old, false, false),
    ] {
        let begun = Instant::now();
        let opened = settings().connect_with(Says { bytes: bytes.clone(), stays });
        let error = opened.map(drop).unwrap_err();
        assert_eq!(error.is_retryable(), is_passing, "{error}");
        assert!(error.to_string().starts_with("https://hostile.example:1 cannot be"), "{error}");
        assert!(begun.elapsed() < LIMIT, "{error}");
    }
}

#[test]
fn a_server_that_lets_a_program_in_and_then_lies_is_left() {
    for (lie, stays) in [
        (vec![0xFF; 64], true),
        (LinkHead { len: u32::MAX, total: u32::MAX, call: 1 }.encode().to_vec(), true),
        (Vec::new(), false),
        (Vec::new(), true),
    ] {
        let bytes = [welcome(), lie].concat();
        let store =
            Builder::new().wait(Duration::from_millis(1)).connect_with(Says { bytes, stays }).unwrap();
        let begun = Instant::now();
        let error = store.append("s", event()).unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let error = store.head("s").unwrap_err();
        assert!(error.is_retryable() && begun.elapsed() < LIMIT, "{error}");
        store.close().unwrap();
    }
}

/// One that never gets anywhere.
#[derive(Debug)]
struct Nowhere;

impl Dialer for Nowhere {
    fn name(&self) -> String {
        "https://nowhere.example:1".to_owned()
    }

    fn dial(&self) -> Dialing<'_> {
        Box::pin(std::future::pending())
    }
}

/// One that fails at once, as one with a wrong token does; or panics.
#[derive(Debug)]
struct Refuses {
    panics: bool,
}

impl Dialer for Refuses {
    fn name(&self) -> String {
        "https://refuses.example:1".to_owned()
    }

    fn dial(&self) -> Dialing<'_> {
        assert!(!self.panics, "on purpose");
        Box::pin(async move { Err(Error::Refused { store: self.name(), reason: "no".to_owned() }) })
    }
}

#[test]
fn a_dialer_that_gets_nowhere_is_not_waited_for_and_one_that_is_refused_is_not_asked_again() {
    let begun = Instant::now();
    let error = Builder::new().wait(Duration::ZERO).connect_with(Nowhere).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let error = Builder::new().wait(LIMIT * 100).connect_with(Refuses { panics: false }).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let error = Builder::new().wait(Duration::ZERO).connect_with(Refuses { panics: true }).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn settings_of_the_handle_hold_at_this_end() {
    let owner = Store::in_memory().unwrap();
    let served = Served::new(&owner);
    let reads = served.client(Builder::new().read_only()).unwrap();
    assert!(matches!(reads.append("s", event()), Err(Error::ReadOnly { .. })));
    let made = served.client(Builder::new().create_only());
    assert!(matches!(made, Err(Error::Exists { what: "store", .. })));
    let strict = served.client(Builder::new().strict(true)).unwrap();
    assert!(matches!(strict.append("s", NewEvent::new("no.such")), Err(Error::Invalid(_))));
    assert_eq!(owner.committed().get(), 0);
}
