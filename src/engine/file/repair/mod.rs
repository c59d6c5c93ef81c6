//! Putting a new store together from what is sound in a damaged file, which is never written to.
//!
//! The file is not opened as a store, nor by redb: `pages` reads the tables page by page, `entries` the journal, `salvage`
//! takes from both what proves by its checksum what it is, `plan` decides what becomes of it.

mod entries;
mod names;
mod pages;
mod plan;
mod salvage;
mod source;
mod work;

pub(crate) use work::repair;
