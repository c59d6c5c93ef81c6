//! A client's side: an engine whose storage is another process.

mod asking;
mod calls;
mod connect;
mod copying;
mod engine;
mod hello;
mod line;
mod link;
mod listen;
mod listening;
mod queue;
mod reader;
mod run;
mod tell;
#[cfg(test)]
mod tests;

pub(crate) use connect::connect;
pub(crate) use engine::SharedEngine;
#[cfg(test)]
pub(crate) use hello::Lost;
pub(crate) use hello::{ConnectError, Hello};
