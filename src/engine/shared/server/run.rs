//! The server's thread.

use std::os::unix::net;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Client;
use super::connection::serve;
use super::served_engine::ServedEngine;
use crate::engine::shared::peer::{Reach, may_talk};
use crate::engine::shared::socket::{Socket, end_listening};
use crate::limits::{HAND_OVER_MS, SHARED_ACCEPT_MS, SHARED_CLIENTS, SHARED_CLOSING_MS, SHARED_LEAVING_MS};

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Serve(net::UnixStream, Reach),
    /// Leave within this time, and say when it is done.
    Drain(Duration, Sender<()>),
    Stop,
}

pub(super) async fn run(
    served: ServedEngine,
    listener: Option<net::UnixListener>,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut listener = listener.and_then(|listener| UnixListener::from_std(listener).ok());
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = accept(listener.as_ref()) => stream.map(|stream| (stream, Reach::Local)),
            order = orders.recv() => match order {
                Some(Order::Serve(stream, reach)) => {
                    UnixStream::from_std(stream).ok().map(|stream| (stream, reach))
                }
                Some(Order::Drain(within, done)) => {
                    listener.take().iter().for_each(end_listening);
                    drain(&served, within).await;
                    connections.shutdown().await;
                    let _ = done.send(());
                    return;
                }
                Some(Order::Stop) | None => {
                    listener.take().iter().for_each(end_listening);
                    return;
                }
            },
            () = served.roster.hinted.notified() => {
                if served.has_changed_hands() {
                    listener.take().iter().for_each(end_listening);
                    drain(&served, Duration::from_millis(HAND_OVER_MS)).await;
                    return;
                }
                served.roster.write_to_all();
                None
            }
            () = served.roster.closed.notified() => {
                listener.take().iter().for_each(end_listening);
                drain(&served, Duration::from_millis(SHARED_CLOSING_MS)).await;
                return;
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => None,
        };
        // Those that have not said who they are count as well, but leave room for some that do.
        let Some((stream, reach)) = stream else { continue };
        let own = Socket::of(stream).ok().filter(|stream| may_talk(stream.uid()));
        if let Some(stream) = own.filter(|_| connections.len() < SHARED_CLIENTS * 2) {
            connections.spawn(serve(served.clone(), stream, reach));
        }
    }
}

/// The next connection; never any when nobody listens.
async fn accept(listener: Option<&UnixListener>) -> Option<UnixStream> {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(e) => {
            tracing::warn!(error = %e, "a client could not be taken in");
            // Out of file descriptors, most likely: the connection stays where it is, and would be offered again at once.
            tokio::time::sleep(Duration::from_millis(SHARED_ACCEPT_MS)).await;
            None
        }
    }
}

/// Answers what is under way and has it read, as far as the time allows.
async fn drain(served: &ServedEngine, within: Duration) {
    let roster = &served.roster;
    roster.leaves();
    let now = Instant::now();
    let all = |is: fn(&Client) -> bool| async move {
        while !roster.clients().iter().all(|client| is(client)) {
            roster.settled.notified().await;
        }
    };
    let settled = async {
        all(|client| client.calls() == 0).await;
        // What lies in their sockets was sent before they had heard: it is read, and answered that it was not begun. Who is
        // stopped does not say that there is nothing more.
        let said = all(|client| client.has_said_all() && client.calls() == 0);
        let soon = Duration::from_millis(SHARED_LEAVING_MS).min(within / 2);
        let _ = tokio::time::timeout_at(now + soon, said).await;
        roster.clients().iter().for_each(|client| client.end());
        all(|_| false).await;
    };
    if tokio::time::timeout_at(now + within, settled).await.is_err() {
        tracing::debug!("some clients have not taken their answers in time");
    }
}

/// A drained server has no clients: nothing holds the engine but calls that still run.
pub(super) fn thread(
    served: ServedEngine,
    listener: Option<net::UnixListener>,
    orders: UnboundedReceiver<Order>,
    runtime: tokio::runtime::Runtime,
) {
    let serving = runtime.spawn(run(served, listener, orders));
    if let Err(error) = runtime.block_on(serving) {
        tracing::error!(%error, "the store is not shared any more");
    }
    // What blocks is not waited for: a check of the whole store may take minutes.
    runtime.shutdown_background();
}
