//! The bytes of the file: its parts, and the journal at its front.

pub(crate) mod backend;
pub(crate) mod ballast;
pub(crate) mod journal;
pub(crate) mod last_commit;
pub(crate) mod layout;
#[cfg(all(unix, feature = "testkit"))]
pub(crate) mod logged;
pub(crate) mod mend;
pub(crate) mod place;
