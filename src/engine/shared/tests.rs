//! What an owner and its clients know of each other, and what the owner decides for them.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{ClientInfo, ConnectError, Hello, Lost, Reach, Server, ServerOptions, SharedEngine, connect};
use crate::engine::file::{Medium, Options, open};
use crate::engine::get::{Get, Got};
use crate::engine::{Durability, Engine, open_in_memory};
use crate::error::Error;
use crate::event::{NewEvent, Place, StoreId};
use crate::limits::PAGE_BYTES;
use crate::store::{Builder, Store};
use crate::sync::Mutex;
use crate::testkit::{Disk, DiskOperation, Fault};

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
    server.serve(other, Reach::Local);
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

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what}: not in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_client_hears_that_its_owner_ends_though_a_child_holds_the_socket() {
    let server = Server::start(open_in_memory(false), None, options()).unwrap();
    let (own, other) = UnixStream::pair().unwrap();
    // What a forked child has.
    let held = other.try_clone().unwrap();
    server.serve(other, Reach::Local);
    let client = connect(own, hello()).unwrap();
    let told = lost(&client);
    server.stop();
    assert_eq!(told.recv_timeout(LIMIT), Ok(Lost::Gone));
    drop(held);
}

#[test]
fn an_owner_notices_that_a_client_closes_though_a_child_holds_the_socket() {
    let server = Server::start(open_in_memory(false), None, options()).unwrap();
    let (own, other) = UnixStream::pair().unwrap();
    let held = own.try_clone().unwrap();
    server.serve(other, Reach::Local);
    let store = store_on(connect(own, hello()).unwrap());
    store.append("s", NewEvent::new("a.b")).unwrap();
    assert_eq!(server.clients().len(), 1);
    store.close().unwrap();
    drop(store);
    until("it has left", || server.clients().is_empty());
    drop(held);
}

#[test]
fn nobody_connects_to_an_owner_that_ended_though_a_child_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    for drains in [true, false] {
        let listener = UnixListener::bind(&path).unwrap();
        let held = listener.try_clone().unwrap();
        let server = Server::start(open_in_memory(false), Some(listener), options()).unwrap();
        drop(connect(UnixStream::connect(&path).unwrap(), hello()).unwrap());
        match drains {
            true => server.drain(LIMIT),
            false => server.stop(),
        }
        assert!(UnixStream::connect(&path).is_err());
        drop(held);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_clients_ask_for_while_their_owner_leaves_is_known_not_to_be_written() {
    for round in 0..20 {
        let engine = open_in_memory(false);
        let server = Server::start(engine.clone(), None, options()).unwrap();
        let clients: Vec<Store> = (0..2).map(|_| store_on(client_of(&server, hello()).unwrap())).collect();
        let (tell, ended) = channel();
        for (n, client) in clients.iter().cycle().take(8).enumerate() {
            let (client, tell) = (client.clone(), tell.clone());
            std::thread::spawn(move || {
                let name = format!("s{n}");
                let mut appended = 0;
                let last = loop {
                    match client.append(&name, NewEvent::new("a.b")) {
                        Ok(_) => appended += 1,
                        Err(e) => break e,
                    }
                };
                tell.send((name, appended, last)).unwrap();
            });
        }
        until("they work", || engine.committed().get() > 200);
        server.drain(LIMIT);
        let owner = Builder::new().on(engine).unwrap();
        for _ in 0..8 {
            let (name, appended, last) = ended.recv_timeout(LIMIT).unwrap();
            assert!(matches!(last, Error::OwnerLost { .. }), "round {round}: {last:?}");
            let head = match owner.head(&name) {
                // It had no turn before the owner left.
                Err(Error::NotFound { .. }) => 0,
                head => head.unwrap().get(),
            };
            assert_eq!(head, appended);
        }
    }
}

#[test]
fn an_owner_that_leaves_begins_no_read_either() {
    let disk = Disk::new();
    let engine = open(Medium::Backend(disk.backend()), Options::default()).unwrap();
    let server = Server::start(engine, None, options()).unwrap();
    let client = store_on(client_of(&server, hello()).unwrap());
    client.append("s", NewEvent::new("a.b")).unwrap();
    disk.pause();
    std::thread::scope(|threads| {
        let under_way = threads.spawn(|| client.append("s", NewEvent::new("a.b")));
        disk.wait_for_sync();
        // One who does not look at what it is told.
        let (mut deaf, other) = UnixStream::pair().unwrap();
        server.serve(other, Reach::Local);
        deaf::hello(&mut deaf);
        let leaving = threads.spawn(|| server.drain(LIMIT));
        deaf::hears_leaving(&mut deaf);
        for call in 1..20 {
            assert_eq!(deaf::asks(&mut deaf, call), (call, vec![1]), "it says that it leaves");
        }
        disk.resume();
        assert_eq!(under_way.join().unwrap().unwrap().last().get(), 2);
        drop(deaf);
        leaving.join().unwrap();
    });
}

/// A connection that speaks in bytes.
mod deaf {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use crate::codec::Bounded;
    use crate::codec::link::{HelloBody, LINK_HEADER, LinkHead, SentAsk, SentHello, SentWrites};
    use crate::engine::sidecar::SidecarTable;

    fn frame(stream: &mut UnixStream) -> (u64, Vec<u8>) {
        let mut header = [0; LINK_HEADER];
        stream.read_exact(&mut header).unwrap();
        let head = LinkHead::decode(&header).unwrap();
        let mut body = vec![0; head.len as usize];
        stream.read_exact(&mut body).unwrap();
        (head.call, body)
    }

    pub(super) fn hello(stream: &mut UnixStream) {
        stream.set_read_timeout(Some(super::LIMIT)).unwrap();
        let body = HelloBody { program: "raw", rank: 0, store: None, wait: 1_000_000 };
        stream.write_all(&SentHello { oldest: 1, newest: 1, hello: Some(body) }.message()).unwrap();
        assert_eq!(frame(stream).1.get(8), Some(&0), "it is welcome");
    }

    pub(super) fn hears_leaving(stream: &mut UnixStream) {
        while frame(stream) != (0, vec![1]) {}
    }

    /// The next message, and whose it is.
    pub(super) fn hears(stream: &mut UnixStream) -> (u64, Vec<u8>) {
        frame(stream)
    }

    pub(super) fn writes(stream: &mut UnixStream) {
        let row = (SidecarTable::Consumers.number(), &b"key"[..], Some(&b"value"[..]));
        let writes =
            SentWrites { rows: Bounded(vec![row]), expected: Bounded(vec![]), relaxed: false, by: 1 };
        stream.write_all(&SentAsk::Write(writes).message(1, 64)).unwrap();
    }

    /// A question to the disk, and its answer.
    pub(super) fn asks(stream: &mut UnixStream, call: u64) -> (u64, Vec<u8>) {
        let ask = if call.is_multiple_of(2) { SentAsk::Sessions(None, 10) } else { SentAsk::Flush };
        stream.write_all(&ask.message(call, 8)).unwrap();
        frame(stream)
    }
}

#[test]
fn clients_hear_that_their_owner_leaves_before_they_hear_what_its_storage_could_not_do() {
    let disk = Disk::new();
    let engine = open(Medium::Backend(disk.backend()), Options::default()).unwrap();
    let server = Server::start(engine.clone(), None, options()).unwrap();
    let (mut client, other) = UnixStream::pair().unwrap();
    server.serve(other, Reach::Local);
    deaf::hello(&mut client);
    disk.arm(Fault::once(DiskOperation::Sync, 0).for_good());
    deaf::writes(&mut client);
    assert_eq!(deaf::hears(&mut client), (0, vec![1]), "it leaves");
    let (call, answer) = deaf::hears(&mut client);
    assert!(call == 1 && answer != [1], "whether it was written is unknown");
    // What comes now is for the next owner, whatever the storage says of it.
    for call in 2..6 {
        assert_eq!(deaf::asks(&mut client, call), (call, vec![1]));
    }
    // So it is for one that comes now.
    assert!(matches!(client_of(&server, hello()), Err(ConnectError::Leaving { .. })));
}

#[test]
fn who_waits_for_a_client_that_has_stopped_goes_on_when_its_last_call_ends() {
    let disk = Disk::new();
    let engine = open(Medium::Backend(disk.backend()), Options::default()).unwrap();
    let server = Server::start(engine.clone(), None, options()).unwrap();
    let owner = Builder::new().on(engine).unwrap();
    let (mut stopped, other) = UnixStream::pair().unwrap();
    server.serve(other, Reach::Local);
    deaf::hello(&mut stopped);
    // Its socket is full from here on, but not so much waits for it that it may not call.
    let event = || NewEvent::new("a.b").data(serde_json::json!("x".repeat(60_000)));
    for _ in 0..30 {
        owner.append("s", event()).unwrap();
    }
    let _idle = client_of(&server, hello()).unwrap();
    disk.pause();
    deaf::writes(&mut stopped);
    disk.wait_for_sync();
    std::thread::scope(|threads| {
        let left = threads.spawn(|| server.drain(LIMIT));
        disk.resume();
        until("only the one that has stopped is waited for", || server.clients().len() == 1);
        drop(stopped);
        left.join().unwrap();
    });
}

#[test]
fn a_long_read_takes_no_more_at_once_than_a_page_and_what_passes_it() {
    let disk = Disk::new();
    let engine = open(Medium::Backend(disk.backend()), Options::default()).unwrap();
    let store = Builder::new().on(engine.clone()).unwrap();
    let payload: Vec<u8> = (0..3_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let event = || NewEvent::new("a.b").bytes("x/y", payload.clone());
    for _ in 0..12 {
        store.append("s", event()).unwrap();
    }
    store.maintenance().flush().unwrap();
    (0..4).for_each(|_| drop(store.append("s", event()).unwrap()));
    let reader = engine.reader().unwrap();
    let place = Place::new("s".try_into().unwrap(), "main".try_into().unwrap());
    let branch = reader.find(&place).unwrap().unwrap();
    let (mut from, mut seen, mut reads) = (1, 0, 0);
    while seen < 16 {
        let Got::Pieces(pieces) = reader.read(&Get::Pieces { branch: &branch, from, to: u64::MAX }).unwrap()
        else {
            panic!("it is no long read")
        };
        let mut bytes = 0;
        for event in pieces.list.into_iter().flatten() {
            bytes += event.unwrap().record().encoded().len();
            seen += 1;
        }
        assert!(bytes <= PAGE_BYTES + 2 * payload.len(), "{bytes} bytes at once");
        (from, reads) = (pieces.next.unwrap_or(u64::MAX), reads + 1);
    }
    assert!(seen == 16 && reads > 2);
}
