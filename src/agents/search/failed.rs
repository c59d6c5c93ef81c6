use super::disk::Unusable;
use crate::error::Error;

/// Why something was not found out: because of the index, which others can stand in for, or because of the store.
#[derive(Debug)]
pub(super) enum Failed {
    Index(Unusable),
    Store(Error),
}

impl From<Unusable> for Failed {
    fn from(unusable: Unusable) -> Self {
        Self::Index(unusable)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => error,
            Failed::Index(unusable) => Self::storage(format!(
                "the search index cannot be used: {}; its folder can be deleted",
                unusable.reason
            )),
        }
    }
}
