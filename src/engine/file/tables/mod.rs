//! The tables of redb: their definitions, reading them with care, and writing them.

pub(crate) mod changed;
pub(crate) mod chunks;
pub(crate) mod db;
pub(crate) mod definitions;
pub(crate) mod each;
pub(crate) mod ids;
pub(crate) mod lazy;
pub(crate) mod lines;
pub(crate) mod lookup;
pub(crate) mod opened;
pub(crate) mod pages;
pub(crate) mod sidecar_view;
pub(crate) mod system;
pub(crate) mod view;
