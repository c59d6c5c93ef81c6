//! Putting a new store together from what is sound in a damaged file, which is never written to.
//!
//! The file is not opened as a store, nor by redb: `tables::pages` reads the tables page by page, `entries` the journal, `salvage`
//! takes from both what proves by its checksum what it is, `leftovers` what else closes a gap; `plan` decides what becomes of
//! it, and `placed` where in the global order it is.

mod entries;
mod gaps;
mod leftovers;
mod names;
mod placed;
mod plan;
mod salvage;
mod source;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use work::repair;
