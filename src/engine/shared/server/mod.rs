//! The owner's side: clients of any engine, served by a thread of its own.

mod calls;
mod client;
mod connection;
mod greet;
mod handle;
mod options;
mod pace;
mod roster;
mod run;
mod served_engine;

pub(crate) use handle::Server;
pub(crate) use options::ServerOptions;
