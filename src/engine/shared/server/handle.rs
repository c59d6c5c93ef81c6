//! The handle on an owner's server.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::options::ServerOptions;
use super::roster::Roster;
use super::run::{Order, thread};
use super::served_engine::ServedEngine;
use crate::engine::port::Engine;
use crate::engine::process::Process;
use crate::engine::shared::peer::{ClientInfo, Reach};
use crate::engine::watch::Watcher;
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::limits::{SHARED_READS, SHARED_STAND_INS};
use crate::panics::caught;
use crate::sync::{Mutex, lock};

/// Serves clients of an engine until it is drained, stopped or dropped, or until the engine is closed.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    serving: Arc<Serving>,
}

#[derive(Debug)]
struct Serving {
    engine: Arc<dyn Engine>,
    opening: EventId,
    roster: Arc<Roster>,
    orders: UnboundedSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// Starts serving, those who connect to this listener among others.
    ///
    /// # Errors
    /// [`Error::Storage`] when the system refuses a thread, or the listener is of no use.
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        listener: Option<UnixListener>,
        options: ServerOptions,
    ) -> Result<Self> {
        let cannot = |e: std::io::Error| Error::storage(format!("the store cannot be shared: {e}"));
        if let Some(listener) = &listener {
            listener.set_nonblocking(true).map_err(cannot)?;
        }
        // One thread at a time; when it makes a commit itself, another goes on meanwhile.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime
            .worker_threads(1)
            .enable_io()
            .enable_time()
            .max_blocking_threads(SHARED_READS + SHARED_STAND_INS)
            .thread_name("retold-serving");
        // It panics where the system refuses it a thread.
        let runtime = caught(|| runtime.build());
        let runtime = runtime.unwrap_or_else(|panic| Err(std::io::Error::other(panic))).map_err(cannot)?;
        let roster = Arc::new(Roster::new(options, engine.tells_of_answers()));
        engine.watch(&(roster.clone() as Arc<dyn Watcher>));
        let (process, opening) = (engine.process().clone(), engine.opening());
        let served = ServedEngine::new(engine.clone(), opening, roster.clone());
        let (orders, taken) = unbounded_channel();
        let serve = move || thread(served, listener, taken, runtime);
        let thread = std::thread::Builder::new().name("retold-shared".into()).spawn(serve).map_err(cannot)?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { process, serving: Arc::new(Serving { engine, opening, roster, orders, thread }) })
    }

    /// One more connection, which is hung up when it is not served.
    pub(crate) fn serve(&self, stream: UnixStream, reach: Reach) {
        if self.process.is_this() && stream.set_nonblocking(true).is_ok() {
            let _ = self.serving.orders.send(Order::Serve(stream, reach));
        }
    }

    /// Whether it takes in clients of the storage that the engine has now.
    pub(crate) fn is_current(&self) -> bool {
        !self.serving.roster.is_leaving() && self.serving.opening == self.serving.engine.opening()
    }

    /// Who uses the store now.
    pub(crate) fn clients(&self) -> Vec<ClientInfo> {
        match self.process.is_this() {
            true => self.serving.roster.clients().iter().map(|client| client.info()).collect(),
            false => Vec::new(),
        }
    }

    /// Tells clients that the owner leaves, takes nothing new, answers what is under way, and ends, after this time at the
    /// latest. Blocks.
    pub(crate) fn drain(&self, within: Duration) {
        if !self.process.is_this() {
            return;
        }
        self.serving.roster.leaves();
        let (done, when_done) = channel();
        if self.serving.orders.send(Order::Drain(within, done)).is_ok() {
            let _ = when_done.recv();
        }
        self.join();
    }

    /// Ends at once.
    pub(crate) fn stop(&self) {
        if self.process.is_this() {
            let _ = self.serving.orders.send(Order::Stop);
            self.join();
        }
    }

    fn join(&self) {
        let thread = lock(&self.serving.thread).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        self.process.keep(&self.serving);
    }
}
