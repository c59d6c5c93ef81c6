//! The owner's side: clients of any engine, served by a thread of its own.

mod calls;
mod client;
mod connection;
mod greet;
mod options;
mod roster;
mod run;
mod served_engine;
mod server;

pub(crate) use options::ServerOptions;
pub(crate) use server::Server;
