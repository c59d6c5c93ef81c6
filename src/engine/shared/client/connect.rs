//! Connecting to an owner.

use std::io;
use std::os::unix::net;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::engine::SharedEngine;
use super::hello::{ConnectError, Hello, Lost, OwnerInfo};
use super::line::Line;
use super::link::{Connection, Link};
use super::run::run;
use crate::codec::link::{HelloBody, LINK_NEWEST, LINK_OLDEST, SentGreeting, SentHello, SentWelcome};
use crate::engine::identity::Identity;
use crate::engine::problem::Problem;
use crate::engine::shared::frame::{Flight, Flown, Inbox, Incoming};
use crate::engine::shared::peer::{may_talk, program_name};
use crate::engine::shared::socket::Socket;
use crate::event::{EventId, StoreId, Timestamp};
use crate::limits::SHARED_GREETING_BYTES;
use crate::panics::caught;

/// An engine on the store of whoever is at the other end. Blocks until it has said who it is.
///
/// # Errors
/// [`ConnectError`].
pub(crate) fn connect(stream: net::UnixStream, hello: Hello) -> Result<Arc<SharedEngine>, ConnectError> {
    let lost = |e: io::Error| ConnectError::Lost { owner: 0, reason: e.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(lost)?;
    let (tell, told) = sync_channel(1);
    let life = move || thread(&runtime, stream, &hello, &tell);
    std::thread::Builder::new().name("retold-client".into()).spawn(life).map_err(lost)?;
    match told.recv() {
        Ok(connected) => connected.map(Arc::new),
        Err(_) => Err(ConnectError::Lost { owner: 0, reason: "its thread ended".to_owned() }),
    }
}

type Connected = Result<SharedEngine, ConnectError>;

/// The life of the engine's thread.
fn thread(runtime: &Runtime, stream: net::UnixStream, hello: &Hello, tell: &SyncSender<Connected>) {
    let mut inbox = Inbox::default();
    let (link, identity) = match runtime.block_on(greet(stream, hello, &mut inbox)) {
        Ok((link, identity)) => (Arc::new(link), identity),
        Err(e) => return drop(tell.send(Err(e))),
    };
    let engine = SharedEngine::new(Connection(link.clone()), identity);
    // Whoever gets the engine may read at once, and this came before.
    link.listening.begin(inbox);
    if tell.send(Ok(engine)).is_err() {
        return;
    }
    // Who is told of something may panic. Whoever waits for an answer would wait for ever.
    if let Err(panic) = caught(|| runtime.block_on(run(&link))) {
        tracing::error!(panic, "a panic ends the connection to the owner of the store");
        link.lose(Lost::Gone);
    }
    link.stream().hang_up();
}

async fn greet(
    stream: net::UnixStream,
    hello: &Hello,
    inbox: &mut Inbox,
) -> Result<(Link, Identity), ConnectError> {
    let lost = |owner| move |e: io::Error| ConnectError::Lost { owner, reason: e.to_string() };
    let kept = stream.try_clone().map_err(lost(0))?;
    let stream = Socket::new(stream).map_err(lost(0))?;
    let other = stream.peer();
    let owner = other.unwrap_or_default();
    if !may_talk(stream.uid()) {
        return Err(ConnectError::OtherUser { owner, uid: stream.uid() });
    }
    let body = HelloBody {
        program: &program_name(&hello.program),
        rank: hello.rank,
        store: hello.store.map(|id| *id.bytes()),
        wait: u64::try_from(hello.wait.as_millis()).unwrap_or(u64::MAX).max(1),
    };
    let said = SentHello { oldest: LINK_OLDEST, newest: LINK_NEWEST, hello: Some(body) };
    let answered = tokio::time::timeout(hello.wait, exchange(&stream, said.message(), inbox)).await;
    let body = match answered {
        Ok(body) => body.map_err(lost(owner))?,
        Err(_) => return Err(ConnectError::Silent { owner, waited: hello.wait }),
    };
    match SentGreeting::decode(&body) {
        Ok(SentGreeting::Welcome(version, welcome)) => {
            let (info, identity) = (owner_info(&welcome, version), identity(&welcome, hello));
            let line = Line::new(kept, other).map_err(lost(owner))?;
            stream.leave();
            Ok((Link::new(line, info, (hello.wait, hello.reach), welcome.committed), identity))
        }
        Ok(SentGreeting::Protocol(oldest, newest)) => {
            Err(ConnectError::Protocol { owner, theirs: (oldest, newest), ours: (LINK_OLDEST, LINK_NEWEST) })
        }
        Ok(SentGreeting::OtherStore(id)) => {
            Err(ConnectError::OtherStore { owner, found: StoreId::from_bytes(id) })
        }
        Ok(SentGreeting::Busy(clients)) => Err(ConnectError::Busy { owner, clients }),
        Ok(SentGreeting::Leaving) => Err(ConnectError::Leaving { owner }),
        Err(e) => Err(ConnectError::Lost { owner, reason: e.to_string() }),
    }
}

async fn exchange(stream: &Socket, said: Vec<u8>, inbox: &mut Inbox) -> io::Result<Bytes> {
    let mut flight = Flight::of(said.into());
    while flight.fly(|pieces| stream.try_write(pieces))? == Flown::Blocked {
        stream.writable().await?;
    }
    loop {
        match inbox.next() {
            Ok(Incoming::Message { call: 0, body }) if body.len() <= SHARED_GREETING_BYTES => {
                return Ok(body);
            }
            Ok(Incoming::More) => stream.receive(inbox).await?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no owner of a store")),
            Err(e) => return Err(io::Error::new(io::ErrorKind::InvalidData, e)),
        }
    }
}

fn owner_info(welcome: &SentWelcome<'_>, protocol: u16) -> OwnerInfo {
    OwnerInfo {
        pid: welcome.pid,
        program: program_name(welcome.program),
        rank: welcome.rank,
        since: Timestamp::from_micros(welcome.since),
        payload_bytes: welcome.payload_bytes,
        protocol,
    }
}

/// The store's own properties, under the name that this process has for it.
fn identity(welcome: &SentWelcome<'_>, hello: &Hello) -> Identity {
    let problem = |(place, reason): &(&str, &str)| Problem::new(place, *reason);
    Identity {
        id: StoreId::from_bytes(welcome.store),
        opening: EventId::from_bytes(welcome.opening),
        created: Timestamp::from_micros(welcome.created),
        format: welcome.format,
        name: hello.name.clone(),
        path: hello.path.clone(),
        read_only: hello.read_only,
        upgraded: None,
        damage: welcome.damage.0.iter().map(problem).collect(),
        lacks: welcome.lacks.as_ref().map(problem),
    }
}
