//! Stores over the socket of another process, and a server for them, over given sockets: for tests.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::store::Store;
use crate::engine::{ClientInfo, Durability, Hello, Reach, Server, ServerOptions, connect};
use crate::error::Result;
use crate::sync::{Mutex, lock};

/// Serves the clients of a store until it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    server: Server,
    asked: Arc<Mutex<Vec<u32>>>,
}

impl Store {
    /// Serves whoever connects to this listener.
    pub(crate) fn served(&self, listener: Option<UnixListener>) -> Result<Served> {
        let asked = Arc::<Mutex<Vec<u32>>>::default();
        let note = asked.clone();
        let options = ServerOptions {
            program: "owner".to_owned(),
            rank: 0,
            payload_bytes: self.inner().payload_bytes(),
            least: Durability::Relaxed,
            handover: Arc::new(move |client: &ClientInfo| lock(&note).push(client.pid)),
        };
        let server = Server::start(self.inner().shared_engine(), listener, options)?;
        Ok(Served { server, asked })
    }
}

impl Served {
    /// One more connection.
    pub(crate) fn serve(&self, stream: UnixStream) {
        self.server.serve(stream, Reach::Local);
    }

    /// The processes of the clients.
    pub(crate) fn clients(&self) -> Vec<u32> {
        self.server.clients().into_iter().map(|client| client.pid).collect()
    }

    /// Bytes that wait for clients to read them.
    pub(crate) fn queued(&self) -> u64 {
        self.server.clients().into_iter().map(|client| client.queued).sum()
    }

    /// The processes that have asked for the store.
    pub(crate) fn asked(&self) -> Vec<u32> {
        lock(&self.asked).clone()
    }

    /// Leaves within this time.
    pub(crate) fn drain(&self, within: Duration) {
        self.server.drain(within);
    }
}

impl Builder {
    /// A store over this socket, whose other end an owner serves.
    pub(crate) fn connected(self, stream: UnixStream, wait: Duration) -> Result<Store> {
        let hello =
            Hello { read_only: self.is_read_only(), wait, ..Hello::new("client", "the store of the owner") };
        let engine = connect(stream, hello)?;
        self.on(engine)
    }
}
