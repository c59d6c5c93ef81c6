//! fork(2): an open store belongs to the process that opened it. A forked child has a copy of every handle but none
//! of the threads behind it, and a lock that one of them held at that moment is never released. So the process is
//! checked before any lock is taken, and what only the parent may release, such as the file lock, is leaked instead
//! of dropped.

use std::sync::Arc;

use crate::error::{Error, Result};

/// The process that created something.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    id: u32,
    /// Counts forks in the child, so that a check costs one memory read. `None` where this is unavailable.
    #[cfg(unix)]
    forks: Option<forkguard::atfork::Guard>,
}

impl Process {
    /// The calling process.
    pub(crate) fn this() -> Self {
        Self {
            id: std::process::id(),
            #[cfg(unix)]
            forks: forkguard::atfork::Guard::try_new().ok(),
        }
    }

    /// Whether the caller runs in this process.
    #[inline]
    pub(crate) fn is_this(&self) -> bool {
        #[cfg(unix)]
        match &self.forks {
            Some(forks) => !forks.clone().detected_fork(),
            None => self.is_surely_this(),
        }
        #[cfg(not(unix))]
        true
    }

    /// The same, even for a child made without the C library. A system call, for rare checks.
    pub(crate) fn is_surely_this(&self) -> bool {
        self.is_this_by_count() && self.id == std::process::id()
    }

    #[cfg(unix)]
    fn is_this_by_count(&self) -> bool {
        self.forks.as_ref().is_none_or(|forks| !forks.clone().detected_fork())
    }

    #[cfg(not(unix))]
    fn is_this_by_count(&self) -> bool {
        true
    }

    /// Refuses calls from another process.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_this() { Ok(()) } else { Err(self.other()) }
    }

    #[cold]
    pub(crate) fn other(&self) -> Error {
        Error::OtherProcess { opened_in: self.id }
    }

    /// Called when a handle is dropped: in another process, what it shares must never be dropped.
    #[inline]
    pub(crate) fn keep<T: ?Sized>(&self, shared: &Arc<T>) {
        if !self.is_this() {
            std::mem::forget(Arc::clone(shared));
        }
    }
}
