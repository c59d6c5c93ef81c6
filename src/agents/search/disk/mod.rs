//! An index on the disk: segments that do not change, and a manifest that names them. Whatever is wrong with it is
//! [`Unusable`]; nothing here knows the store.

mod builder;
mod folder;
mod lists;
mod manifest;
mod merge;
mod meta;
mod numbered;
mod numbers;
mod pages;
mod row;
mod segment;
mod segment_writer;
mod snapshot;
mod unusable;
mod writer;

pub(super) use builder::Builder;
pub(super) use folder::{Folder, Lock};
pub(super) use manifest::Manifest;
pub(super) use segment::{List, Segment};
pub(super) use snapshot::Snapshot;
pub(super) use unusable::Unusable;
pub(super) use writer::Writer;
