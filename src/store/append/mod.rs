//! What an append asks for.

pub(crate) mod batch;
