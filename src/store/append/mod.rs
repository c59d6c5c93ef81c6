//! Append requests, receipts, and the decision between them: no I/O.

pub(crate) mod batch;
pub(crate) mod decide;
pub(crate) mod receipt;
