//! What an owner and its clients know of each other, and what the owner decides for them.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{ClientInfo, ConnectError, Hello, Lost, Server, ServerOptions, SharedEngine, connect};
use crate::engine::file::{Medium, Options, open};
use crate::engine::{Durability, Engine, open_in_memory};
use crate::error::Error;
use crate::event::{NewEvent, StoreId};
use crate::store::{Builder, Store};
use crate::sync::Mutex;
use crate::testkit::Disk;

const LIMIT: Duration = Duration::from_secs(60);

fn options() -> ServerOptions {
    ServerOptions {
        program: "app".to_owned(),
        rank: 7,
        payload_bytes: 1_000,
        least: Durability::Relaxed,
        handover: Arc::new(|_| ()),
    }
}

fn hello() -> Hello {
    Hello { rank: 3, wait: LIMIT, ..Hello::new("cli", "a.redb") }
}

fn client_of(server: &Server, hello: Hello) -> Result<Arc<SharedEngine>, ConnectError> {
    let (own, other) = UnixStream::pair().unwrap();
    server.serve(other);
    connect(own, hello)
}

fn store_on(engine: Arc<SharedEngine>) -> Store {
    Builder::new().on(engine).unwrap()
}

/// What a client is told when its owner goes.
fn lost(engine: &SharedEngine) -> Receiver<Lost> {
    let (tell, told) = channel();
    engine.on_lost(move |lost| tell.send(lost).unwrap());
    told
}

#[test]
fn owner_and_client_know_each_other() {
    let engine = open_in_memory(false);
    let server = Server::start(engine.clone(), None, options()).unwrap();
    let client = client_of(&server, hello()).unwrap();
    let owner = client.owner().clone();
    assert_eq!((owner.pid, owner.program.as_str(), owner.rank), (std::process::id(), "app", 7));
    assert_eq!((owner.payload_bytes, owner.protocol), (1_000, 1));
    let (own, theirs) = (client.identity(), engine.identity());
    assert_eq!((own.id, own.opening, own.created), (theirs.id, theirs.opening, theirs.created));
    assert_eq!((own.name.as_str(), own.read_only), ("a.redb", false));
    let status = client.ask_owner().unwrap();
    assert_eq!((&status.owner, status.clients.len()), (&owner, 1));
    let [seen] = <[ClientInfo; 1]>::try_from(server.clients()).unwrap();
    assert_eq!((seen.pid, seen.program.as_str(), seen.rank), (std::process::id(), "cli", 3));
    assert_eq!(status.clients[0].since, seen.since);
}

#[test]
fn a_client_asks_for_the_store() {
    let (tell, asked) = channel();
    let tell = Mutex::new(tell);
    let handover = move |client: &ClientInfo| tell.lock().unwrap().send(client.clone()).unwrap();
    let options = ServerOptions { handover: Arc::new(handover), ..options() };
    let server = Server::start(open_in_memory(false), None, options).unwrap();
    let client = client_of(&server, hello()).unwrap();
    client.request_handover().unwrap();
    assert_eq!(asked.recv_timeout(LIMIT).unwrap().rank, 3);
}

#[test]
fn a_client_is_told_once_when_its_owner_leaves_or_is_gone() {
    let server = Server::start(open_in_memory(false), None, options()).unwrap();
    let client = client_of(&server, hello()).unwrap();
    let told = lost(&client);
    assert_eq!((client.lost(), told.try_recv().ok()), (None, None));
    server.drain(LIMIT);
    assert_eq!(told.recv_timeout(LIMIT), Ok(Lost::Leaving));
    assert_eq!(lost(&client).recv_timeout(LIMIT), Ok(Lost::Leaving));
    assert!(told.recv_timeout(LIMIT).is_err(), "it is told once");
    let server = Server::start(open_in_memory(false), None, options()).unwrap();
    let client = client_of(&server, hello()).unwrap();
    let told = lost(&client);
    server.stop();
    assert_eq!(told.recv_timeout(LIMIT), Ok(Lost::Gone));
    assert!(matches!(client_of(&server, hello()), Err(ConnectError::Lost { .. })));
}

#[test]
fn the_store_that_a_client_expects_is_the_one_that_it_gets() {
    let engine = open_in_memory(false);
    let server = Server::start(engine.clone(), None, options()).unwrap();
    let id = engine.identity().id;
    let of = |store| client_of(&server, Hello { store, ..hello() }).map(|client| client.identity().id);
    assert_eq!(of(Some(id)), Ok(id));
    let owner = std::process::id();
    assert_eq!(of(Some(StoreId::new())), Err(ConnectError::OtherStore { owner, found: id }));
}

#[test]
fn the_owner_decides_how_large_and_how_durable_appends_are() {
    let disk = Disk::new();
    let engine = open(Medium::Backend(disk.backend()), Options::default()).unwrap();
    let server = |least| Server::start(engine.clone(), None, ServerOptions { least, ..options() }).unwrap();
    let relaxed = |server: &Server| {
        let engine = client_of(server, hello()).unwrap();
        Builder::new().durability(Durability::Relaxed).on(engine).unwrap()
    };
    let (strict, lenient) = (server(Durability::Durable), server(Durability::Relaxed));
    let store = relaxed(&strict);
    for n in 1..20 {
        let before = disk.syncs();
        store.append("s", NewEvent::new("a.b")).unwrap();
        assert!(disk.syncs() > before, "append {n} was not synced");
    }
    disk.pause();
    relaxed(&lenient).append("s", NewEvent::new("a.b")).unwrap();
    disk.resume();
    let large = NewEvent::new("a.b").bytes("x/y", vec![0; 1_001]);
    let refused = store.append("s", large).unwrap_err();
    assert!(refused.to_string().contains("1001 bytes; the limit of this store is 1000"), "{refused}");
    store.append("s", NewEvent::new("a.b").bytes("x/y", vec![0; 1_000])).unwrap();
}

#[test]
fn a_client_that_only_reads_writes_nothing() {
    let engine = open_in_memory(false);
    let server = Server::start(engine.clone(), None, options()).unwrap();
    let client = store_on(client_of(&server, Hello { read_only: true, ..hello() }).unwrap());
    let owner = Builder::new().on(engine).unwrap();
    owner.append("s", NewEvent::new("a.b")).unwrap();
    assert_eq!(client.head("s").unwrap().get(), 1);
    let read_only = Error::ReadOnly { path: "a.redb".to_owned() };
    assert_eq!(client.append("s", NewEvent::new("a.b")).unwrap_err(), read_only);
    assert_eq!(client.maintenance().flush().unwrap_err(), read_only);
}

#[test]
fn the_last_handle_may_go_in_a_watcher_of_the_engine() {
    let server = Server::start(open_in_memory(false), None, options()).unwrap();
    let (one, other) = (client_of(&server, hello()).unwrap(), client_of(&server, hello()).unwrap());
    let (tell, told) = channel();
    let handle = Mutex::new(Some((store_on(other.clone()), tell)));
    other.on_lost(move |_| {
        let (store, tell) = handle.lock().unwrap().take().unwrap();
        drop(store);
        tell.send(()).unwrap();
    });
    drop(other);
    server.stop();
    told.recv_timeout(LIMIT).unwrap();
    drop(one);
}
