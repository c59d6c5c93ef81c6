//! Clients and owners that do what they should not: nothing of it harms the store, its owner or other clients.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use retold::codec::Bounded;
use retold::codec::link::{
    HelloBody, LINK_HEADER, LINK_NEWEST, LinkHead, SentAppend, SentAsk, SentExpect, SentGreeting, SentHello,
    SentNotice, SentPart, SentPlace, SentRange, SentWelcome, SentWrites,
};
use retold::limits::{SHARED_CLIENTS, SHARED_INTAKE_BYTES, SHARED_QUEUE_BYTES};
use retold::testkit::{Disk, Sharing};
use retold::{Builder, Error, Expect, Follow, NewEvent, Query, Result, Store};

use crate::fork::in_child;
use crate::victim::{Victim, orders, tell};

/// For what has to happen soon, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

fn event() -> NewEvent {
    NewEvent::new("step.done")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what}: not in time");
        thread::yield_now();
    }
}

fn hello(oldest: u16, newest: u16) -> Vec<u8> {
    let body = HelloBody { program: "raw", rank: 0, store: None, wait: 10_000 };
    SentHello { oldest, newest, hello: Some(body) }.message()
}

fn frame(stream: &mut UnixStream) -> Option<(u64, Vec<u8>)> {
    let mut header = [0; LINK_HEADER];
    stream.read_exact(&mut header).ok()?;
    let head = LinkHead::decode(&header).unwrap();
    let mut body = vec![0; head.len as usize];
    stream.read_exact(&mut body).ok()?;
    Some((head.call, body))
}

/// A connection that speaks in bytes.
fn raw(sharing: &Sharing) -> UnixStream {
    let (own, other) = UnixStream::pair().unwrap();
    sharing.serve(other);
    own.set_read_timeout(Some(LIMIT)).unwrap();
    own.set_write_timeout(Some(LIMIT)).unwrap();
    own
}

/// One that was let in.
fn greeted(sharing: &Sharing) -> UnixStream {
    let mut stream = raw(sharing);
    stream.write_all(&hello(1, 1)).unwrap();
    let (call, body) = frame(&mut stream).unwrap();
    assert_eq!(call, 0);
    assert!(matches!(SentGreeting::decode(&body), Ok(SentGreeting::Welcome(1, _))));
    stream
}

fn is_hung_up(mut stream: UnixStream) -> bool {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        // Bytes that were not read at the other end make it this.
        Err(e) => e.kind() == ErrorKind::ConnectionReset,
    }
}

/// An owner with a client that works.
struct Shared {
    sharing: Sharing,
    owner: Store,
    client: Store,
}

impl Shared {
    fn new() -> Self {
        Self::of(Store::in_memory().unwrap())
    }

    fn of(owner: Store) -> Self {
        let sharing = Sharing::of(&owner, None).unwrap();
        let client = sharing.client(Builder::new()).unwrap();
        Self { sharing, owner, client }
    }

    /// Owner and client work, and see each other's events.
    fn works(&self) {
        let head = self.client.append("works", event()).unwrap().last();
        assert_eq!(self.owner.append("works", event()).unwrap().last(), head.next());
        assert_eq!(self.client.head("works").unwrap(), head.next());
    }
}

fn append(call: u64, record: &[u8], count: u32) -> Vec<u8> {
    let place = SentPlace { session: "raw", branch: "main" };
    let part = SentPart { place, expect: SentExpect::Any, branch: None, count };
    let writes = SentWrites { rows: Bounded(vec![]), expected: Bounded(vec![]), relaxed: false, by: 1 };
    SentAsk::Append(SentAppend {
        parts: Bounded(vec![part]),
        records: Bounded(vec![record]),
        relaxed: false,
        writes,
    })
    .message(call, 0)
}

/// The bytes of an event's record, as an owner sends them.
fn record(event: NewEvent) -> Vec<u8> {
    let store = Store::in_memory().unwrap();
    let sharing = Sharing::of(&store, None).unwrap();
    let mut stream = greeted(&sharing);
    store.append("s", event).unwrap();
    let (_, body) = frame(&mut stream).unwrap();
    match SentNotice::decode(&body).unwrap() {
        SentNotice::Committed { events, .. } => events.events.0[0].record.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A record with a payload of so many zeros.
fn large_record(bytes: u32) -> Vec<u8> {
    let mut record = record(event().bytes("x/y", "0"));
    record.truncate(record.len() - 2);
    record.push(252);
    record.extend_from_slice(&bytes.to_le_bytes());
    record.resize(record.len() + bytes as usize, 0);
    record
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let shared = Shared::new();
    let huge = LinkHead { len: u32::MAX, total: u32::MAX, call: 1 }.encode();
    let long = LinkHead { len: 10, total: u32::MAX, call: 1 }.encode();
    for before in [&[][..], &hello(1, 1)] {
        for garbage in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0; 64], &[255; 64], &huge, &long]
        {
            let mut stream = raw(&shared.sharing);
            stream.write_all(before).unwrap();
            stream.write_all(garbage).unwrap();
            assert!(is_hung_up(stream), "{garbage:?}");
        }
    }
    until("only the client is left", || shared.sharing.clients().len() == 1);
    shared.works();
}

#[test]
fn messages_that_mean_nothing_are_answered_and_the_connection_goes_on() {
    let shared = Shared::new();
    let mut stream = greeted(&shared.sharing);
    for (call, body) in [(1, &[200, 1, 2, 3][..]), (2, b"\x03"), (3, &[19; 40])] {
        let head = LinkHead { len: body.len() as u32, total: body.len() as u32, call };
        stream.write_all(&[&head.encode()[..], body].concat()).unwrap();
        let (of, answer) = frame(&mut stream).unwrap();
        assert_eq!((of, answer[0]), (call, 0), "it failed");
    }
    stream.write_all(&SentAsk::Ping.message(9, 0)).unwrap();
    assert_eq!(frame(&mut stream).unwrap(), (9, vec![2]));
    shared.works();
}

#[test]
fn what_a_store_would_refuse_the_owner_refuses() {
    let shared = Shared::new();
    let mut stream = greeted(&shared.sharing);
    let good = record(event());
    let large = large_record(17 << 20);
    // Its type holds a control character.
    let mut spoiled = good.clone();
    let at = spoiled.windows(4).position(|bytes| bytes == b"step").unwrap();
    spoiled[at] = b'\n';
    for (call, record, count) in
        [(1, &good[1..], 1), (2, &large, 1), (3, &spoiled, 1), (4, &good, 2), (5, &good, 0), (6, b"", 1)]
    {
        let message = append(call, record, count);
        let mut at = LINK_HEADER;
        let total = message.len() - LINK_HEADER;
        while at < message.len() {
            let len = (message.len() - at).min(1 << 20);
            let head = LinkHead { len: len as u32, total: total as u32, call };
            stream.write_all(&head.encode()).unwrap();
            stream.write_all(&message[at..at + len]).unwrap();
            at += len;
        }
        let (of, answer) = frame(&mut stream).unwrap();
        assert_eq!((of, answer[0]), (call, 0), "append {call} was refused");
    }
    assert_eq!(shared.owner.committed().get(), 0);
    stream.write_all(&append(7, &good, 1)).unwrap();
    // The hint comes before the receipt.
    assert_eq!(frame(&mut stream).unwrap().0, 0);
    assert_eq!(frame(&mut stream).unwrap().0, 7);
    assert_eq!(shared.owner.committed().get(), 1);
    shared.works();
}

#[test]
fn a_client_that_dies_amid_a_message_writes_nothing() {
    let shared = Shared::new();
    let message = append(1, &record(event()), 1);
    for cut in [1, LINK_HEADER - 1, LINK_HEADER, LINK_HEADER + 1, message.len() - 1] {
        let mut stream = greeted(&shared.sharing);
        stream.write_all(&message[..cut]).unwrap();
    }
    // A message of several frames, of which the last is missing.
    let mut stream = greeted(&shared.sharing);
    let head = LinkHead { len: 1 << 20, total: 300 << 20, call: 1 };
    stream.write_all(&head.encode()).unwrap();
    stream.write_all(&vec![0; 1 << 20]).unwrap();
    drop(stream);
    until("only the client is left", || shared.sharing.clients().len() == 1);
    assert_eq!(shared.owner.committed().get(), 0);
    shared.works();
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_and_is_not_waited_for() {
    let shared = Shared::new();
    let mut silent = greeted(&shared.sharing);
    let mut following = shared.client.follow(Follow::session("s").unwrap()).unwrap().blocking();
    let payload = "x".repeat(8_000);
    for n in 0..2_000u32 {
        let event = event().data(serde_json::json!({ "n": n, "text": payload }));
        shared.owner.append("s", event).unwrap();
    }
    // What waits for it is bounded, though it is more than that; and so is what waits for the other, which may have had no turn.
    let queued = shared.sharing.queued();
    assert!(queued <= 2 * (SHARED_QUEUE_BYTES as u64 + (64 << 10)), "{queued} bytes wait");
    let mut next = 1;
    while next <= 2_000 {
        if let Some(event) = following.next().unwrap().unwrap().event() {
            assert_eq!(event.sequence().get(), next);
            next += 1;
        }
    }
    // It reads again, and is told that there was more than it was told of.
    let mut unseen = None;
    while unseen.is_none_or(|position| position < 2_000) {
        let (_, body) = frame(&mut silent).unwrap();
        match SentNotice::decode(&body).unwrap() {
            SentNotice::Unseen(position) => unseen = Some(position),
            SentNotice::Committed { position, .. } => assert!(unseen.is_none() || position > 2_000),
            other => panic!("{other:?}"),
        }
    }
    shared.works();
}

#[test]
fn a_client_that_asks_and_never_reads_is_not_answered_without_end() {
    let shared = Shared::new();
    let payload = "x".repeat(64_000);
    let batch: Vec<NewEvent> = (0..100).map(|_| event().data(serde_json::json!(payload))).collect();
    shared.owner.append("s", batch).unwrap();
    let mut silent = Vec::new();
    for clients in 1..=3 {
        let mut client = greeted(&shared.sharing);
        client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let range = SentRange { from: 1, to: 100, limit: 100, reverse: false };
        let mut asked = 0;
        // The owner takes nothing more before its answers are read.
        while client.write_all(&SentAsk::All(range).message(asked + 1, 0)).is_ok() {
            asked += 1;
            assert!(asked < 1_000_000, "the owner takes calls without end");
        }
        silent.push(client);
        // What fills the queue, and the answers that were being made meanwhile.
        let (queued, most) = (shared.sharing.queued(), SHARED_QUEUE_BYTES as u64 + 5 * (7 << 20));
        assert!(queued < clients * most, "{queued} bytes wait");
        // Nor does it take the turns of others to read.
        assert_eq!(shared.client.maintenance().info().unwrap().sessions, 1);
    }
    shared.works();
}

/// The first frame of a message that fills the room of all clients, and a call of the same number.
fn long_and_short(stream: &mut UnixStream) {
    let total = SHARED_INTAKE_BYTES as u32;
    stream.write_all(&LinkHead { len: 10, total, call: 5 }.encode()).unwrap();
    stream.write_all(&[0; 10]).unwrap();
    stream.write_all(&SentAsk::Ping.message(5, 0)).unwrap();
}

#[test]
fn the_room_of_a_long_message_is_its_own_whatever_else_has_its_number() {
    let shared = Shared::new();
    let (mut one, mut other) = (greeted(&shared.sharing), greeted(&shared.sharing));
    long_and_short(&mut one);
    assert_eq!(frame(&mut one).unwrap(), (5, vec![2]));
    long_and_short(&mut other);
    // It has to wait before anything of it is taken, and so does what comes after.
    other.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(one);
    other.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(frame(&mut other).unwrap(), (5, vec![2]));
    shared.works();
}

#[test]
fn of_a_thousand_connections_as_many_are_served_as_there_may_be() {
    let shared = Shared::new();
    let mut silent: Vec<UnixStream> = (0..200).map(|_| raw(&shared.sharing)).collect();
    let (mut let_in, mut refused) = (Vec::new(), 0);
    for _ in 0..SHARED_CLIENTS + 40 {
        let mut stream = raw(&shared.sharing);
        stream.write_all(&hello(1, 1)).unwrap();
        let (_, body) = frame(&mut stream).unwrap();
        match SentGreeting::decode(&body).unwrap() {
            SentGreeting::Welcome(..) => let_in.push(stream),
            SentGreeting::Busy(clients) => {
                assert_eq!(clients as usize, SHARED_CLIENTS);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    // The client that works is one of them.
    assert_eq!((let_in.len() + 1, refused), (SHARED_CLIENTS, 41));
    assert!(matches!(shared.sharing.client(Builder::new()), Err(Error::Storage { .. })));
    shared.works();
    let_in.truncate(1);
    silent.truncate(1);
    for _ in 0..500 {
        drop(raw(&shared.sharing));
    }
    until("there is room again", || shared.sharing.clients().len() == 2);
    until("another one is let in", || shared.sharing.client(Builder::new()).is_ok());
    shared.works();
}

#[test]
fn versions_that_overlap_talk_and_others_say_why_not() {
    let shared = Shared::new();
    let said = |oldest, newest| {
        let mut stream = raw(&shared.sharing);
        stream.write_all(&hello(oldest, newest)).unwrap();
        let (_, body) = frame(&mut stream).unwrap();
        match SentGreeting::decode(&body).unwrap() {
            SentGreeting::Welcome(version, _) => Ok(version),
            SentGreeting::Protocol(oldest, newest) => Err((oldest, newest)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((said(1, 9), said(0, 1)), (Ok(LINK_NEWEST), Ok(1)));
    assert_eq!((said(0, 0), said(7, 9)), (Err((1, 1)), Err((1, 1))));
    shared.works();
}

/// An owner of a test's own making, which answers the hello with this and then does as it likes.
pub(crate) fn owner_that(
    says: Vec<u8>,
    then: impl FnOnce(UnixStream) + Send + 'static,
    wait: Duration,
) -> Result<Store> {
    let (own, mut other) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        other.set_read_timeout(Some(LIMIT)).unwrap();
        frame(&mut other).unwrap();
        let _ = other.write_all(&says);
        then(other);
    });
    Sharing::connect(own, Builder::new(), wait)
}

pub(crate) fn welcome() -> Vec<u8> {
    let welcome = SentWelcome {
        pid: std::process::id(),
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

/// Until the other end hangs up.
pub(crate) fn listen(mut stream: UnixStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn an_owner_of_another_release_or_none_at_all_is_told_apart() {
    let own = std::process::id();
    let protocol = SentGreeting::Protocol(7, 9).message();
    assert_eq!(
        owner_that(protocol, listen, LIMIT).unwrap_err(),
        Error::OtherProtocol { owner: own, theirs: (7, 9), ours: (1, 1) }
    );
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0; 16], &[255; 80]] {
        assert_eq!(owner_that(garbage.to_vec(), listen, LIMIT).unwrap_err(), Error::OwnerLost { owner: own });
    }
    assert_eq!(owner_that(vec![], drop, LIMIT).unwrap_err(), Error::OwnerLost { owner: own });
    let wait = Duration::from_millis(100);
    assert_eq!(owner_that(vec![], listen, wait).unwrap_err(), Error::NoAnswer { owner: own, seconds: 0 });
    let leaving = SentGreeting::Leaving.message();
    assert_eq!(owner_that(leaving, listen, LIMIT).unwrap_err(), Error::OwnerLost { owner: own });
    let busy = SentGreeting::Busy(256).message();
    assert!(owner_that(busy, listen, LIMIT).unwrap_err().to_string().contains("256 clients"));
}

#[test]
fn an_owner_that_does_not_answer_is_named_and_a_commit_is_then_unknown() {
    let client = owner_that(welcome(), listen, Duration::from_millis(200)).unwrap();
    let silent = Error::NoAnswer { owner: std::process::id(), seconds: 0 };
    assert_eq!(client.head("s").unwrap_err(), silent);
    assert_eq!(client.maintenance().flush().unwrap_err(), silent);
    assert_eq!(client.maintenance().verify().unwrap_err(), silent);
    match client.append("s", event()).unwrap_err() {
        Error::Unknown { reason } => assert!(reason.contains(&std::process::id().to_string()), "{reason}"),
        other => panic!("{other:?}"),
    }
    // In a task as well.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let append = runtime.block_on(client.append_async("s", event()));
    assert!(matches!(append, Err(Error::Unknown { .. })), "{append:?}");
    client.close().unwrap();
}

#[test]
fn what_was_not_sent_to_an_owner_that_stopped_reading_is_known_not_to_be_written() {
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let stopped = move |stream: UnixStream| {
        // It holds the socket and reads nothing.
        let _ = waits.recv();
        drop::<UnixStream>(stream);
    };
    let client = owner_that(welcome(), stopped, Duration::from_millis(300)).unwrap();
    let payload = "x".repeat(1 << 19);
    let outcomes: Vec<Result<()>> = thread::scope(|threads| {
        let append = |_| {
            let event = event().data(serde_json::json!(payload));
            let client = &client;
            threads.spawn(move || client.append("s", event).map(drop))
        };
        let appends: Vec<_> = (0..12).map(append).collect();
        appends.into_iter().map(|append| append.join().unwrap()).collect()
    });
    let unknown = outcomes.iter().filter(|o| matches!(o, Err(Error::Unknown { .. }))).count();
    let not_written = outcomes.iter().filter(|o| matches!(o, Err(Error::NoAnswer { .. }))).count();
    assert!(unknown >= 1 && not_written >= 1 && unknown + not_written == 12, "{outcomes:?}");
    drop(go);
}

#[test]
fn a_commit_is_unknown_when_its_owner_ends_before_it_answers() {
    let lost = Error::OwnerLost { owner: std::process::id() };
    let take_one_call = |mut stream: UnixStream| drop(frame(&mut stream));
    let client = owner_that(welcome(), take_one_call, LIMIT).unwrap();
    assert!(matches!(client.append("s", event()), Err(Error::Unknown { .. })));
    // Nobody is there any more.
    assert_eq!(client.append("s", event()).unwrap_err(), lost);
    assert_eq!(client.head("s").unwrap_err(), lost);
    let client = owner_that(welcome(), take_one_call, LIMIT).unwrap();
    assert_eq!(client.head("s").unwrap_err(), lost);
    client.close().unwrap();
}

#[test]
fn an_owner_that_answers_what_was_not_asked_or_what_nobody_can_read_is_an_error() {
    let answers = |body: &'static [u8]| {
        move |mut stream: UnixStream| {
            while let Some((call, _)) = frame(&mut stream) {
                let head = LinkHead { len: body.len() as u32, total: body.len() as u32, call };
                let _ = stream.write_all(&[&head.encode()[..], body].concat());
            }
        }
    };
    // `Heard`, `Written`, an unknown kind, half a message.
    for body in [&b"\x02"[..], b"\x05", b"\xc8", b"\x08\x09"] {
        let client = owner_that(welcome(), answers(body), LIMIT).unwrap();
        assert!(matches!(client.head("s"), Err(Error::Storage { .. })), "{body:?}");
        // Most likely it was written.
        assert!(matches!(client.append("s", event()), Err(Error::Unknown { .. })), "{body:?}");
        assert!(matches!(client.maintenance().verify(), Err(Error::Storage { .. })), "{body:?}");
    }
}

#[test]
fn an_owner_that_leaves_answers_what_is_under_way_and_nothing_new() {
    let disk = Disk::new();
    let shared = Shared::of(Store::builder().with_backend(disk.backend()).unwrap());
    shared.works();
    let before = shared.owner.committed();
    disk.pause();
    thread::scope(|threads| {
        let under_way = threads.spawn(|| shared.client.append("s", event()));
        disk.wait_for_sync();
        let leaving = threads.spawn(|| shared.sharing.drain(LIMIT));
        until("it is told", || matches!(shared.client.head("works"), Err(Error::OwnerLost { .. })));
        assert!(matches!(shared.client.append("s", event()), Err(Error::OwnerLost { .. })));
        disk.resume();
        assert_eq!(under_way.join().unwrap().unwrap().position(), before.next());
        leaving.join().unwrap();
    });
    assert!(shared.sharing.clients().is_empty());
    assert_eq!(shared.owner.committed(), before.next());
    shared.client.close().unwrap();
}

#[test]
fn an_owner_that_leaves_does_not_wait_for_clients_that_do_not_read() {
    let shared = Shared::new();
    let _silent = greeted(&shared.sharing);
    let payload = "x".repeat(60_000);
    for _ in 0..200 {
        shared.owner.append("s", event().data(serde_json::json!(payload))).unwrap();
    }
    shared.sharing.drain(Duration::from_millis(50));
    assert!(shared.sharing.clients().is_empty());
    shared.owner.append("s", event()).unwrap();
}

#[test]
fn clients_are_told_when_the_owner_closes_its_store() {
    let shared = Shared::new();
    shared.works();
    shared.owner.close().unwrap();
    until("it is told", || matches!(shared.client.head("works"), Err(Error::OwnerLost { .. })));
    assert!(matches!(shared.client.append("s", event()), Err(Error::OwnerLost { .. })));
}

#[test]
fn committed_has_reached_an_append_when_it_returns_and_so_have_followers() {
    let shared = Shared::new();
    let clients: Vec<Store> = (0..3).map(|_| shared.sharing.client(Builder::new()).unwrap()).collect();
    thread::scope(|threads| {
        for (n, client) in clients.iter().enumerate() {
            let shared = &shared;
            threads.spawn(move || {
                let name = format!("s{n}");
                for _ in 0..300 {
                    let receipt = client.append(&name, event()).unwrap();
                    assert!(client.committed() >= receipt.position());
                    assert!(shared.owner.committed() >= receipt.position());
                    assert_eq!(client.head(&name).unwrap(), receipt.last());
                }
            });
        }
    });
    until("all are told", || clients.iter().all(|client| client.committed().get() == 900));
}

#[test]
fn a_store_that_is_listened_for_is_found_by_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let owner = Store::in_memory().unwrap();
    let sharing = Sharing::of(&owner, Some(UnixListener::bind(&path).unwrap())).unwrap();
    let connect = || Sharing::connect(UnixStream::connect(&path).unwrap(), Builder::new(), LIMIT);
    let (a, b) = (connect().unwrap(), connect().unwrap());
    a.append_if("s", Expect::Empty, event()).unwrap();
    assert!(matches!(b.append_if("s", Expect::Empty, event()), Err(Error::Conflict { .. })));
    assert_eq!(b.read(&Query::all()).unwrap().events.len(), 1);
    assert_eq!(sharing.clients(), [std::process::id(); 2]);
    drop(sharing);
    assert!(UnixStream::connect(&path).is_err());
}

#[test]
#[ignore = "the process that forks, which another test begins"]
fn forks() {
    if orders().is_none() {
        return;
    }
    let shared = Shared::new();
    shared.works();
    let (own, dropped, lives) = (std::process::id(), Shared::new(), &shared);
    let begun = lives.client.append_async("s", event());
    let wrong = in_child(move || {
        let shared = lives;
        let mut wrong = String::new();
        let mut refused = |what: &str, answer: Result<()>| match answer {
            Err(Error::OtherProcess { opened_in }) if opened_in == own => {}
            other => wrong += &format!("{what}: {other:?}; "),
        };
        refused("append", shared.client.append("s", event()).map(drop));
        refused("head", shared.client.head("works").map(drop));
        refused("follow", shared.client.follow(Follow::all()).map(drop));
        refused("flush", shared.client.maintenance().flush());
        refused("verify", shared.client.maintenance().verify().map(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        refused("a future", runtime.block_on(begun).map(drop));
        refused("the owner", shared.owner.head("works").map(drop));
        if shared.client.committed().get() != 0 || !shared.sharing.clients().is_empty() {
            wrong += "it knows something; ";
        }
        shared.sharing.drain(LIMIT);
        drop(dropped);
        wrong
    });
    shared.works();
    tell(&format!("wrong: {wrong}\n"));
    loop {
        thread::park();
    }
}

#[test]
fn a_forked_child_of_owner_and_client_is_refused_and_leaves_them_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut forks = Victim::begin("shared_hostile::forks", &folder.path().join("unused"), 0);
    let said = loop {
        let line = forks.line();
        if let Some((_, wrong)) = line.split_once("wrong: ") {
            break wrong.to_owned();
        }
    };
    assert_eq!(said, "");
    forks.kill(&mut crate::support::Dice(1), 1);
}
