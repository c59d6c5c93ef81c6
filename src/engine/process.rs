//! fork(2): what is open belongs to the process that opened it.
//! A
//! forked child has a copy of every handle but none of the threads behind it, and a lock that one of them held at
//! that moment is never released. So the process is checked before any lock is taken, and what only the parent may
//! release, such as the lock on the file, is leaked instead of dropped.

use std::sync::Arc;

use crate::error::{Error, Result};

/// The process in which something was made.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    id: u32,
    /// Counts forks in the child, which costs one read of memory to ask. `None` where that cannot be had.
    #[cfg(unix)]
    forks: Option<forkguard::atfork::Guard>,
}

impl Process {
    /// The process of the caller.
    pub(crate) fn this() -> Self {
        Self {
            id: std::process::id(),
            #[cfg(unix)]
            forks: forkguard::atfork::Guard::try_new().ok(),
        }
    }

    /// Whether the caller is in it.
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

    /// The same, also where a child was made without the C library. A system call: for what is done once.
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

    /// Refuses what is asked for in another process.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_this() { Ok(()) } else { Err(self.other()) }
    }

    #[cold]
    pub(crate) fn other(&self) -> Error {
        Error::OtherProcess { opened_in: self.id }
    }

    /// Called when a handle is dropped: in another process, what it shares is never dropped.
    #[inline]
    pub(crate) fn keep<T: ?Sized>(&self, shared: &Arc<T>) {
        if !self.is_this() {
            std::mem::forget(Arc::clone(shared));
        }
    }
}
