//! The engine of every process but the one that owns the store: the port over a local socket, or over the network.
//!
//! `frame` cuts messages into frames and puts them together again; `message` turns what the port speaks of into messages and
//! back. `server` is the owner's side, over any engine; `client` is an engine. Over the network, each end has a local socket, whose
//! bytes `carry` takes to the other; `dial` gets there with a `dialer`. `docs/shared-protocol.md` draws the bytes.

mod carry;
mod client;
mod dial;
mod dialer;
mod frame;
mod message;
mod peer;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use carry::carry;
#[cfg(test)]
pub(crate) use client::Lost;
pub(crate) use client::{ConnectError, Hello, SharedEngine, connect};
pub(crate) use dial::dial;
pub use dialer::{Dialer, Dialing, Duplex};
#[cfg(feature = "testkit")]
pub(crate) use frame::frames;
#[cfg(feature = "testkit")]
pub(crate) use message::exchange;
pub(crate) use peer::{ClientInfo, Reach};
pub(crate) use server::{Server, ServerOptions};
