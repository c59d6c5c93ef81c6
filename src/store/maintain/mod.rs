//! Looking at a store as a whole.

pub(crate) mod backup;
pub(crate) mod compact;
pub(crate) mod info;
pub(crate) mod maintenance;
pub(crate) mod survey;
pub(crate) mod verify;
