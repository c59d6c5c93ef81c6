//! The one writer: a queue, groups, and their commits.

pub(crate) mod commit;
pub(crate) mod facts;
pub(crate) mod slot;
pub(crate) mod work;
pub(crate) mod writer;
