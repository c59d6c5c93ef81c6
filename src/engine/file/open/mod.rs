//! Opening, creating and upgrading a file.

pub(crate) mod agreement;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod initialise;
pub(crate) mod meta_row;
pub(crate) mod old;
pub(crate) mod recover;
pub(crate) mod refusal;
pub(crate) mod start;
pub(crate) mod storage;
pub(crate) mod upgrade;
