//! The engine in plain maps: for tests, for stores that end with their process, and as the oracle of the other engines.

mod engine;
mod reader;
mod state;

pub(crate) use engine::open;
