use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Malformed;
use crate::engine::{exchange as exchange_of, frames as frames_of};
use crate::error::{Error, Result};
use crate::store::{Builder, Served, Store};

/// A store as other processes use it: over a socket whose other end is served by the process that has the file open.
///
/// ```
/// use retold::testkit::Sharing;
/// use retold::{NewEvent, Store};
///
/// let owner = Store::in_memory()?;
/// let sharing = Sharing::of(&owner, None)?;
/// let client = sharing.client(Store::builder())?;
/// client.append("run-7", NewEvent::new("run.started"))?;
/// assert_eq!(owner.head("run-7")?, 1.into());
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Debug)]
pub struct Sharing(Served);

/// How long a client waits for an owner that says nothing, unless a test says another time.
const WAIT: Duration = Duration::from_secs(10);

impl Sharing {
    /// Serves a store until this is dropped: [`client`](Self::client)s, and whoever connects to the listener.
    ///
    /// # Errors
    /// [`Error::Storage`] if the system refuses what a server needs.
    pub fn of(store: &Store, listener: Option<UnixListener>) -> Result<Self> {
        store.served(listener).map(Self)
    }

    /// A client in this process, with these settings.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn client(&self, settings: Builder) -> Result<Store> {
        let (own, other) = UnixStream::pair().map_err(Error::storage)?;
        self.serve(other);
        Self::connect(own, settings, WAIT)
    }

    /// A client over a socket, whose other end an owner serves. It gives up after so long without a word from the owner.
    ///
    /// # Errors
    /// [`Error::OwnerLost`], [`Error::NoAnswer`], [`Error::OtherProtocol`], [`Error::Storage`] when the owner does not take
    /// it in.
    pub fn connect(stream: UnixStream, settings: Builder, wait: Duration) -> Result<Store> {
        settings.connected(stream, wait)
    }

    /// One more connection, which may be anything.
    pub fn serve(&self, stream: UnixStream) {
        self.0.serve(stream);
    }

    /// The processes of its clients.
    #[must_use]
    pub fn clients(&self) -> Vec<u32> {
        self.0.clients()
    }

    /// Bytes that wait for clients to read them.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.0.queued()
    }

    /// The processes that have asked for the store.
    #[must_use]
    pub fn asked(&self) -> Vec<u32> {
        self.0.asked()
    }

    /// Tells clients that the owner leaves, and answers what is under way within this time.
    pub fn drain(&self, within: Duration) {
        self.0.drain(within);
    }
}

/// The whole messages in these bytes of a connection, each with its call, when so many bytes are read at once.
///
/// # Errors
/// [`Malformed`] for bytes that are no frames.
#[doc(hidden)]
pub fn frames(bytes: &[u8], at_once: usize) -> Result<Vec<(u64, Bytes)>, Malformed> {
    frames_of(bytes, at_once)
}

/// Takes these messages as the owner of an empty store does, and then as its client. How many calls were carried out.
#[doc(hidden)]
#[must_use]
pub fn exchange(messages: &[Bytes]) -> usize {
    Store::in_memory().map_or(0, |store| exchange_of(&*store.inner().shared_engine(), messages))
}
