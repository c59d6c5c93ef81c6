//! The owner's side: clients of any engine, served by a thread of its own.

mod calls;
mod chore;
mod client;
mod connection;
mod copying;
mod greet;
mod handle;
mod lead;
mod options;
mod pace;
mod roster;
mod run;
mod served_engine;
mod writing;

pub(crate) use handle::Server;
pub(crate) use options::ServerOptions;
