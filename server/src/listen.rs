//! Accepting connections, as many as there may be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::app::App;
use crate::connection::{Ends, Peer, serve};
use crate::limits::{ACCEPT_PAUSE, BACKLOG, TURN_AWAY, TURNED_AWAY_AT_ONCE};
use crate::line::Line;
use crate::problem::Problem;
use crate::socket::Socket;
use crate::tls::Tls;

/// A connection's place among those that there may be, and among those that the server waits for when it ends.
type Seat = (OwnedSemaphorePermit, TaskTrackerToken);

/// Listens at an address, beside those of `all`.
pub(crate) fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // `[::]` has the addresses of IPv4 as well on most systems, and would be in the way of `0.0.0.0`.
    if address.is_ipv6() && all.iter().any(|other| other.is_ipv4() && other.port() == address.port()) {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    // Connections of a server that has just ended still have the address for a while.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What listeners have in common.
#[derive(Clone)]
pub(crate) struct Accepting {
    pub(crate) app: App,
    pub(crate) routes: Router,
    pub(crate) tls: Option<Tls>,
    pub(crate) ends: Ends,
    /// Waits for connections that became WebSockets too.
    pub(crate) open: TaskTracker,
    seats: Arc<Semaphore>,
    turning_away: Arc<Semaphore>,
}

impl Accepting {
    pub(crate) fn new(app: App, routes: Router, tls: Option<Tls>, ends: Ends) -> Self {
        let seats = Arc::new(Semaphore::new(app.limits().connections.min(Semaphore::MAX_PERMITS)));
        let turning_away = Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE));
        Self { app, routes, tls, ends, open: TaskTracker::new(), seats, turning_away }
    }

    /// Accepts until the server ends.
    pub(crate) async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.ends.closing.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.accepted(stream, peer),
                Err(error) if is_of_one(&error) => {}
                // Out of file descriptors: connections that end give some back.
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accepted(&self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = self.seats.clone().try_acquire_owned() else {
            self.app.metrics().turned_away();
            if let Ok(permit) = self.turning_away.clone().try_acquire_owned()
                && self.tls.is_none()
            {
                tokio::spawn(turn_away(stream, self.app.limits().connections, permit));
            }
            return;
        };
        let limits = self.app.limits().clone();
        // A socket that can't be set so is served as well.
        if let Err(error) = prepare(&stream, limits.stall_time) {
            tracing::debug!(%error, "an option of a socket can't be set");
        }
        let seat: Seat = (permit, self.open.token());
        let held = (self.app.metrics().connection(), seat);
        let (routes, ends, line) = (self.routes.clone(), self.ends.clone(), Line::default());
        let socket = Socket::new(stream, limits.stall_time, line.clone(), ends.abort.clone(), held);
        let of = (Peer(peer), line);
        let Some(tls) = self.tls.as_ref().map(Tls::acceptor) else {
            tokio::spawn(serve(socket, of, routes, limits, ends));
            return;
        };
        tokio::spawn(async move {
            let shaken = tokio::select! {
                () = ends.closing.cancelled() => return,
                shaken = tokio::time::timeout(limits.handshake_time, tls.accept(socket)) => shaken,
            };
            match shaken {
                Ok(Ok(io)) => serve(io, of, routes, limits, ends).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
}

/// Small answers go at once, and a peer that has vanished is noticed: also while nothing is sent, and also while what was
/// sent waits in the kernel to be acknowledged.
fn prepare(stream: &TcpStream, stall_time: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let second = Duration::from_secs(1);
    let (first, next) = ((stall_time / 2).max(second), (stall_time / 8).max(second));
    let keepalive = TcpKeepalive::new().with_time(first).with_interval(next);
    #[cfg(not(target_os = "openbsd"))]
    let keepalive = keepalive.with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(stall_time))?;
    Ok(())
}

/// What went wrong concerns one connection that is gone, or a network that it came from.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

/// Says that there are too many, in the little time that this may take.
async fn turn_away(mut stream: TcpStream, most: usize, _permit: OwnedSemaphorePermit) {
    let detail = format!("the server has {most} connections, which is the most: try again in a moment");
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", detail);
    let body = problem.to_json().to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = tokio::time::timeout(TURN_AWAY, async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What was sent meanwhile is taken: closing over it would take the answer back.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_of_addresses_can_be_listened_at() {
        let any = bind("0.0.0.0:0".parse().unwrap(), &[]).unwrap();
        let four = any.local_addr().unwrap();
        let six = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), four.port());
        match bind(six, &[four, six]) {
            Ok(both) => assert_eq!(both.local_addr().unwrap(), six),
            // A machine without IPv6.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
    }

    #[tokio::test]
    async fn a_peer_that_vanishes_is_noticed() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (stream, _) = far.unwrap();
        prepare(&stream, Duration::from_secs(30)).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
        }
        drop(near);
    }
}
