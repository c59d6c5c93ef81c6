//! One connection, from its greeting to its end.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UnixStream;

use super::calls::Calls;
use super::client::Client;
use super::greet::greet;
use super::pace::Pace;
use super::roster::Roster;
use super::served_engine::ServedEngine;
use crate::codec::link::SentNotice;
use crate::engine::shared::frame::{Flight, Flown, Inbox, Incoming, receive};
use crate::engine::shared::socket::Socket;
use crate::limits::SHARED_CALLS;

/// Serves a connection until it ends. Whatever is wrong with it ends it, and nothing else.
pub(super) async fn serve(served: ServedEngine, stream: Socket) {
    let mut inbox = Inbox::default();
    let Some(client) = greet(&*served.engine, &served.roster, &stream, &mut inbox).await else { return };
    // It leaves however this ends, also when the server does.
    let _here = Here { roster: &served.roster, client: &client };
    let calls = Calls::new(served.clone(), client.clone());
    let ended = tokio::select! {
        ended = hear(&served.roster, &calls, &stream, &mut inbox) => ended,
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
        self.client.end();
        self.roster.leave(self.client);
    }
}

/// Takes calls until the client hangs up. One that has heard that the owner leaves says nothing more, and still hears its answers.
async fn hear(roster: &Roster, calls: &Calls, stream: &UnixStream, inbox: &mut Inbox) -> io::Result<()> {
    match take_calls(calls, stream, inbox).await {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && roster.is_leaving() => {
            calls.end();
            calls.client.says_no_more();
            std::future::pending().await
        }
        ended => ended,
    }
}

/// Takes one call after the other, as long as the client leaves room for the answers.
async fn take_calls(calls: &Calls, stream: &UnixStream, inbox: &mut Inbox) -> io::Result<()> {
    let client = &calls.client;
    let mut pace = Pace::new();
    loop {
        client.eased_until(|client| client.calls() < SHARED_CALLS && client.has_room()).await;
        match inbox.next().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
            Incoming::Message { call, body } => {
                calls.begin(call, body).await;
                // One who asks without end leaves turns to others.
                tokio::task::coop::consume_budget().await;
            }
            Incoming::Begins { call, total } => {
                calls.make_room(call, total).await;
                pace.begins(total);
            }
            Incoming::More if inbox.is_amid() => {
                let (is_partial, begun) = (inbox.is_partial(), Instant::now());
                let step = pace.step(is_partial);
                let received = tokio::time::timeout(step, receive(stream, inbox)).await;
                pace.waited(step, begun.elapsed());
                match received {
                    Ok(received) => {
                        received?;
                        pace.goes_on();
                    }
                    Err(late) if pace.is_over(is_partial) => return Err(late.into()),
                    Err(_) => {}
                }
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
        if client.has_room() {
            client.eases();
        }
        if flight.is_empty() {
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
