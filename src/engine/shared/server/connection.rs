//! One connection, from its greeting to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::calls::Calls;
use super::client::Client;
use super::greet::greet;
use super::roster::Roster;
use super::served_engine::ServedEngine;
use crate::codec::link::SentNotice;
use crate::engine::shared::frame::{Flight, Flown, Inbox, Incoming, receive};
use crate::limits::{SHARED_CALLS, SHARED_LEAST_RATE, SHARED_STALL_MS};

/// Serves a connection until it ends. Whatever is wrong with it ends it, and nothing else.
pub(super) async fn serve(served: ServedEngine, stream: UnixStream) {
    let mut inbox = Inbox::default();
    let Some(client) = greet(&*served.engine, &served.roster, &stream, &mut inbox).await else { return };
    // It leaves however this ends, also when the server does.
    let _here = Here { roster: &served.roster, client: &client };
    let calls = Calls::new(served.clone(), client.clone());
    let ended = tokio::select! {
        ended = take_calls(&calls, &stream, &mut inbox) => ended,
        ended = write_all(&served.roster, &client, &stream) => ended,
        () = beat(&client) => Ok(()),
    };
    if let Err(e) = ended {
        let info = client.info();
        tracing::debug!(pid = info.pid, program = info.program, error = %e, "a client has gone");
    }
}

struct Here<'a> {
    roster: &'a Roster,
    client: &'a Arc<Client>,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.client.look(|outbox| outbox.end());
        self.roster.leave(self.client);
    }
}

/// Takes one call after the other, as long as the client leaves room for the answers.
async fn take_calls(calls: &Calls, stream: &UnixStream, inbox: &mut Inbox) -> io::Result<()> {
    let client = &calls.client;
    let stall = Duration::from_millis(SHARED_STALL_MS);
    // When a message of several frames has to be whole: it keeps its room from others.
    let mut whole_by = None;
    loop {
        while client.calls() >= SHARED_CALLS || client.look(|outbox| outbox.is_full()) {
            client.eased.notified().await;
        }
        match inbox.next().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
            Incoming::Message { call, body } => {
                calls.begin(call, body).await;
                // One who asks without end leaves turns to others.
                tokio::task::coop::consume_budget().await;
            }
            Incoming::Begins { call, total } => {
                calls.make_room(call, total).await;
                let time = Duration::from_secs(u64::from(total) / SHARED_LEAST_RATE);
                whole_by = Some(Instant::now() + stall + time);
            }
            Incoming::More if inbox.is_amid() => {
                let now = Instant::now();
                let until = whole_by.filter(|_| inbox.is_partial()).unwrap_or(now + stall).min(now + stall);
                tokio::time::timeout_at(until, receive(stream, inbox)).await??;
            }
            Incoming::More => receive(stream, inbox).await?,
        }
    }
}

/// Writes what there is, until the outbox has ended and is empty.
async fn write_all(roster: &Roster, client: &Client, stream: &UnixStream) -> io::Result<()> {
    let mut flight = Flight::default();
    loop {
        client.look(|outbox| flight.board(outbox));
        if flight.is_empty() {
            client.eased.notify_one();
            roster.settled.notify_one();
            if client.look(|outbox| outbox.is_ended() && outbox.is_empty()) {
                return Ok(());
            }
            client.written.notified().await;
            continue;
        }
        while flight.fly(stream)? == Flown::Blocked {
            stream.writable().await?;
        }
    }
}

/// Says that the owner lives, for as long as calls wait.
async fn beat(client: &Client) {
    loop {
        if client.calls() == 0 {
            client.busy.notified().await;
        }
        tokio::time::sleep(client.beat).await;
        if client.calls() > 0 && client.look(|outbox| outbox.is_empty()) {
            client.post(|outbox| outbox.send(0, SentNotice::Alive.message(0, 8).into()));
        }
    }
}
