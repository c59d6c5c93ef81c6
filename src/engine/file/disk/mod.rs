//! The bytes of the file: its parts, and the journal at its front.

pub(crate) mod backend;
pub(crate) mod ballast;
pub(crate) mod journal;
pub(crate) mod last_commit;
pub(crate) mod layout;
pub(crate) mod mend;
pub(crate) mod place;
