//! Stores of other machines: connecting to a server of one, and serving those who do.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::builder::Builder;
use super::store::Store;
use crate::engine::{Dialer, Duplex, Durability, Engine, Reach, Server, ServerOptions, carry, open_remote};
use crate::error::{Error, Result};
use crate::store::unblocked::unblocked;
use crate::sync::{Mutex, lock};

impl Builder {
    /// Opens the store that is served at the other end of the dialer's connections. It is the same [`Store`] as that of a process
    /// beside the file: all verbs but incremental backups, which need an earlier one, with the same guarantees. When the
    /// connection is lost, or the server is started again, it is looked for, and calls go on as those of other processes do when the
    /// owner of a store changes.
    ///
    /// Of what is set here, that of the file is the server's own.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there is no server within [`wait`](Self::wait); [`Error::Refused`] when it does not let this
    /// program in; [`Error::Exists`] with [`create_only`](Self::create_only); what the dialer answers.
    pub fn connect_with(self, dialer: impl Dialer) -> Result<Store> {
        let dialer: Arc<dyn Dialer> = Arc::new(dialer);
        let (config, settings) = self.taking_part(dialer.name())?;
        Ok(Store::new(open_remote(dialer, config)?, settings))
    }

    /// [`connect_with`](Self::connect_with) for tasks.
    ///
    /// # Cancellation
    /// Dropping the future does not stop the opening: the store is opened, and closed again.
    ///
    /// # Errors
    /// As [`connect_with`](Self::connect_with).
    pub async fn connect_with_async(self, dialer: impl Dialer) -> Result<Store> {
        unblocked(move || self.connect_with(dialer)).await
    }
}

/// Serves a store to programs of other machines, over connections that were accepted, and whose other end may do everything. Who
/// that is has been found out before: nothing here asks.
///
/// ```
/// use retold::store::remote::{Dialer, Dialing, Duplex, RemoteHost};
/// use retold::{NewEvent, Store};
///
/// /// Within one process; elsewhere it connects to a listener.
/// #[derive(Debug)]
/// struct Here(std::sync::Arc<RemoteHost>, tokio::runtime::Handle);
///
/// impl Dialer for Here {
///     fn name(&self) -> String {
///         "here".to_owned()
///     }
///
///     fn dial(&self) -> Dialing<'_> {
///         Box::pin(async move {
///             let (ours, theirs) = tokio::io::duplex(64 << 10);
///             let host = self.0.clone();
///             self.1.spawn(async move { host.serve(theirs).await });
///             Ok(Box::new(ours) as Box<dyn Duplex>)
///         })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Runtime::new()?;
/// let served = Store::in_memory()?;
/// let host = std::sync::Arc::new(RemoteHost::new(&served, "my server"));
/// let store = Store::builder().connect_with(Here(host, runtime.handle().clone()))?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// assert_eq!(served.head("run-7")?, 1.into());
/// # Ok(())
/// # }
/// ```
pub struct RemoteHost {
    engine: Arc<dyn Engine>,
    program: String,
    payload_bytes: usize,
    least: Durability,
    /// Of the storage that the engine has now. One that it had before ends by itself.
    server: Mutex<Option<Arc<Server>>>,
    /// It was drained.
    is_over: AtomicBool,
}

impl fmt::Debug for RemoteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteHost").field("program", &self.program).finish_non_exhaustive()
    }
}

impl RemoteHost {
    /// For this store, by a program that calls itself so. It does not keep the store open.
    #[must_use]
    pub fn new(store: &Store, program: impl Into<String>) -> Self {
        let inner = store.inner();
        Self {
            engine: inner.shared_engine(),
            program: program.into(),
            payload_bytes: inner.payload_bytes(),
            least: inner.durability(),
            server: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Serves one connection until it ends, in whatever way. Has to be awaited in a tokio runtime; dropping it ends the connection.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store is closed or this was [drained](Self::drain), and [`Error::Storage`] when the system refuses what is needed.
    pub async fn serve(&self, connection: impl Duplex) -> Result<()> {
        // It lives as long as the connection.
        let server = self.server()?;
        let (near, served) = UnixStream::pair().map_err(Error::storage)?;
        server.serve(served, Reach::Remote);
        if let Err(error) = carry(near, connection).await {
            tracing::debug!(%error, "the connection of a remote program has ended");
        }
        Ok(())
    }

    fn server(&self) -> Result<Arc<Server>> {
        let mut server = lock(&self.server);
        if let Some(current) = server.as_ref().filter(|server| server.is_current()) {
            return Ok(current.clone());
        }
        if self.is_over.load(Ordering::Acquire) {
            return Err(Error::Closed { after: None });
        }
        // Only one that is open can be read.
        self.engine.reader()?;
        let options = ServerOptions {
            program: self.program.clone(),
            rank: 0,
            payload_bytes: self.payload_bytes,
            least: self.least,
            // Nobody takes the file to another machine.
            handover: Arc::new(|_| ()),
        };
        let new = Arc::new(Server::start(self.engine.clone(), None, options)?);
        *server = Some(new.clone());
        Ok(new)
    }

    /// How many programs are connected.
    #[must_use]
    pub fn clients(&self) -> usize {
        lock(&self.server).as_ref().map_or(0, |server| server.clients().len())
    }

    /// Tells the programs that the server ends, takes nothing new from them, and answers what was begun, within this time. Nobody is
    /// served after that. Blocks.
    pub fn drain(&self, within: Duration) {
        let server = {
            let mut server = lock(&self.server);
            self.is_over.store(true, Ordering::Release);
            server.take()
        };
        if let Some(server) = server {
            server.drain(within);
        }
    }
}
