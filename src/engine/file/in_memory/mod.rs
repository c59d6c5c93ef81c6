//! What is kept in memory: the tail of the journal, branches, and chunks that were read a moment ago.

pub(crate) mod branches;
pub(crate) mod layer;
pub(crate) mod recent;
pub(crate) mod tail;
