//! What is kept in memory: the tail of the journal, branches, and recently read chunks.

pub(crate) mod branches;
pub(crate) mod layer;
pub(crate) mod recent;
pub(crate) mod tail;
