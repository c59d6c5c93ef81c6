//! Who owns a store's file, how other processes find the owner, and what becomes of them when it goes.
//!
//! `protocol` decides; nothing does what it says yet.

#[cfg(test)]
mod explored;
mod protocol;
