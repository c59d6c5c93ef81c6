//! How a program gets to the server of a remote store: over TCP, TLS, a tunnel, or whatever else carries bytes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Result;

/// A connection: bytes in both directions, in order.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for T {}

/// A connection that is being made.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Duplex>>> + Send + 'a>>;

/// Makes connections to the server of a store, each time that there is none. The other end is for
/// [`RemoteHost::serve`](crate::store::remote::RemoteHost::serve).
pub trait Dialer: fmt::Debug + Send + Sync + 'static {
    /// How the store is called in messages: its URL.
    fn name(&self) -> String;

    /// Makes a connection, in a tokio runtime that is there for it alone. It is dropped when it takes too long.
    ///
    /// # Errors
    /// [`Error::Unreachable`](crate::Error::Unreachable) is tried again; anything else fails whoever opens the store at
    /// once.
    fn dial(&self) -> Dialing<'_>;
}
