//! The first message in each direction, on the owner's side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::roster::Roster;
use crate::codec::Bounded;
use crate::codec::link::{LINK_NEWEST, LINK_OLDEST, SentGreeting, SentHello, SentWelcome};
use crate::engine::port::Engine;
use crate::engine::problem::Problem;
use crate::engine::shared::frame::{Flight, Flown, Inbox, Incoming};
use crate::engine::shared::peer::{ClientInfo, Reach, may_talk, program_name};
use crate::engine::shared::socket::Socket;
use crate::event::Timestamp;
use crate::limits::{MAX_DAMAGE_TOLD, SHARED_GREETING_BYTES, SHARED_STALL_MS};

/// Reads who it is and answers; `None` when it is sent away, or goes.
pub(super) async fn greet(
    engine: &dyn Engine,
    roster: &Roster,
    (stream, reach): (&Arc<Socket>, Reach),
    inbox: &mut Inbox,
) -> Option<Arc<Client>> {
    if !may_talk(stream.uid()) {
        return None;
    }
    let stall = Duration::from_millis(SHARED_STALL_MS);
    let body = tokio::time::timeout(stall, first_message(stream, inbox)).await.ok()?.ok()?;
    let said = SentHello::decode(&body).ok()?;
    let Some(hello) = said.hello.clone() else {
        return refuse(stream, &SentGreeting::Protocol(LINK_OLDEST, LINK_NEWEST)).await;
    };
    let identity = engine.identity();
    if hello.store.is_some_and(|id| id != *identity.id.bytes()) {
        return refuse(stream, &SentGreeting::OtherStore(*identity.id.bytes())).await;
    }
    let info = ClientInfo {
        pid: match reach {
            Reach::Local => stream.peer().unwrap_or_default(),
            Reach::Remote => 0,
        },
        uid: stream.uid(),
        program: program_name(hello.program),
        rank: hello.rank,
        since: Timestamp::now(),
        queued: 0,
    };
    let wait = Duration::from_millis(hello.wait);
    let client = Client::new((info, reach), stream.clone(), wait, roster.settled.clone());
    let client = Arc::new(client);
    if let Err(clients) = roster.enter(&client) {
        return refuse(stream, &SentGreeting::Busy(clients)).await;
    }
    // It has entered, so it is told of whatever comes after this position. Whoever leaves meanwhile tells it so.
    if roster.is_leaving() {
        roster.leave(&client);
        return refuse(stream, &SentGreeting::Leaving).await;
    }
    let damage = identity.damage.iter().take(MAX_DAMAGE_TOLD).map(told).collect();
    let welcome = SentWelcome {
        pid: std::process::id(),
        program: &program_name(&roster.options.program),
        rank: roster.options.rank,
        since: roster.since.micros(),
        payload_bytes: roster.options.payload_bytes as u64,
        committed: roster.committed(engine).get(),
        store: *identity.id.bytes(),
        // Of the moment: another process may have the file since this one has opened the store.
        opening: *engine.opening().bytes(),
        created: identity.created.micros(),
        format: identity.format,
        damage: Bounded(damage),
        lacks: identity.lacks.as_ref().map(told),
    };
    let version = said.newest.min(LINK_NEWEST);
    let welcome = SentGreeting::Welcome(version, Box::new(welcome)).message();
    client.look(|outbox| outbox.send_first(welcome.into()));
    // Until here nobody wrote what it was told of already.
    client.goes_on();
    client.written.notify_one();
    Some(client)
}

fn told(problem: &Problem) -> (&str, &str) {
    (&problem.place, &problem.reason)
}

async fn first_message(stream: &Socket, inbox: &mut Inbox) -> io::Result<Bytes> {
    loop {
        match inbox.next() {
            Ok(Incoming::Message { call: 0, body }) if body.len() <= SHARED_GREETING_BYTES => {
                return Ok(body);
            }
            Ok(Incoming::More) => stream.receive(inbox).await?,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Says why not. A peer that does not read it does not hear it.
async fn refuse(stream: &Socket, greeting: &SentGreeting<'_>) -> Option<Arc<Client>> {
    let mut flight = Flight::of(greeting.message().into());
    let stall = Duration::from_millis(SHARED_STALL_MS);
    let written = async {
        while let Ok(Flown::Blocked) = flight.fly(|pieces| stream.try_write(pieces)) {
            if stream.writable().await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(stall, written).await;
    None
}
