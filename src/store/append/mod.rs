//! What an append asks for, what it is answered, and the decision between the two: no I/O.

pub(crate) mod batch;
pub(crate) mod decide;
pub(crate) mod receipt;
