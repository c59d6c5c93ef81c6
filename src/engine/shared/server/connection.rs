//! One connection, from its greeting to its end.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::calls::Calls;
use super::client::Client;
use super::greet::greet;
use super::pace::Pace;
use super::roster::Roster;
use super::served_engine::ServedEngine;
use super::writing::Written;
use crate::codec::link::SentNotice;
use crate::engine::shared::frame::{Inbox, Incoming};
use crate::engine::shared::peer::Reach;
use crate::engine::shared::socket::Socket;
use crate::limits::SHARED_CALLS;

/// Serves a connection until it ends. Whatever is wrong with it ends it, and nothing else.
pub(super) async fn serve(served: ServedEngine, stream: Socket, reach: Reach) {
    let (stream, mut inbox) = (Arc::new(stream), Inbox::default());
    let greeted = greet(&*served.engine, &served.roster, (&stream, reach), &mut inbox).await;
    let Some(client) = greeted else { return };
    // It leaves however this ends, also when the server does.
    let _here = Here { roster: &served.roster, client: &client };
    let calls = Calls::new(served.clone(), client.clone());
    // A task of its own: it may block for as long as a commit takes, and the client hears that its owner lives meanwhile.
    let mut hearing = JoinSet::new();
    hearing.spawn(async move { hear(calls, inbox).await });
    let ended = tokio::select! {
        ended = hearing.join_next() => ended.map_or(Ok(()), |ended| ended.unwrap_or_else(|e| Err(e.into()))),
        ended = write_all(&served.roster, &client) => ended,
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
        self.client.stream.hang_up();
        self.roster.leave(self.client);
    }
}

/// Takes calls until the client hangs up. One that has heard that the owner leaves says nothing more, and still hears its answers.
async fn hear(calls: Calls, mut inbox: Inbox) -> io::Result<()> {
    let stream = calls.client.stream.clone();
    match take_calls(&calls, &stream, &mut inbox).await {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && calls.is_leaving() => {
            calls.end();
            calls.client.says_no_more();
            std::future::pending().await
        }
        ended => ended,
    }
}

/// Takes one call after the other, as long as the client leaves room for the answers.
async fn take_calls(calls: &Calls, stream: &Socket, inbox: &mut Inbox) -> io::Result<()> {
    let client = &calls.client;
    let mut pace = Pace::of(client.reach);
    loop {
        client.eased_until(|client| client.calls() < SHARED_CALLS && client.has_room()).await;
        match inbox.next().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
            Incoming::Message { call, body } => {
                calls.begin(call, body, !inbox.is_amid()).await;
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
                let received = tokio::time::timeout(step, stream.receive(inbox)).await;
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
            Incoming::More => stream.receive(inbox).await?,
        }
    }
}

/// Writes what there is, until the outbox has ended and is empty.
async fn write_all(roster: &Roster, client: &Client) -> io::Result<()> {
    loop {
        let written = client.write()?;
        if client.has_room() {
            client.eases();
        }
        match written {
            Written::Blocked => {
                client.stream.writable().await?;
                client.goes_on();
            }
            Written::All => {
                roster.settled.notify_one();
                if client.look(|outbox| outbox.is_ended() && outbox.is_empty()) {
                    return Ok(());
                }
                client.written.notified().await;
            }
            Written::Elsewhere | Written::Left => client.written.notified().await,
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
