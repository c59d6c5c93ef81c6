//! The engine of every process but the one that owns the store: the port over a local socket.
//!
//! `frame` cuts messages into frames and puts them together again; `message` turns what the port speaks of into messages and
//! back. `server` is the owner's side, over any engine; `client` is an engine. `docs/shared-protocol.md` draws the bytes.

mod client;
mod frame;
mod message;
mod peer;
mod server;
mod socket;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use client::Lost;
pub(crate) use client::{ConnectError, Hello, SharedEngine, connect};
#[cfg(feature = "testkit")]
pub(crate) use frame::frames;
#[cfg(feature = "testkit")]
pub(crate) use message::exchange;
pub(crate) use peer::ClientInfo;
pub(crate) use server::{Server, ServerOptions};
