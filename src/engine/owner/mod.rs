//! Who owns a store's file, how other processes find the owner, and what becomes of them when it goes.
//!
//! `protocol` decides, `driver` does what it says. What calls see is `sharing`: an engine that may change under them.

mod brake;
mod driver;
#[cfg(test)]
mod explored;
mod find;
mod greeting;
mod handle;
mod hold;
mod host;
mod places;
mod protocol;
mod reader;
mod reading;
mod record;
mod registry;
mod remote;
mod seats;
mod sharing;
mod site;
mod way;

pub(crate) use registry::{connect, open};
pub(crate) use sharing::SharingConfig;
