//! Where the stores of one engine come from.

use std::fmt;

use crate::error::Result;
use crate::store::{Builder, Store};

/// Where the stores of one engine come from. A case makes one store with [`create`](Self::create), or several, one after
/// another; [`reopen`](Self::reopen) and [`crash`](Self::crash) are about the one that was made last.
///
/// An engine that cannot do something leaves the method as it is, and the cases that need it are skipped.
pub trait Home {
    /// An empty store with these settings, which shares nothing with those that were made before it.
    ///
    /// # Errors
    /// Whatever keeps it from being made. The case fails with it.
    fn create(&mut self, settings: Builder) -> Result<Store>;

    /// The store that was made last, again, with these settings: they may be
    /// [read-only](crate::store::Builder::read_only). It was closed, and its handles are gone. `None` for a store that ends
    /// with its last handle.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::error::Error::Locked) while a reader of before still ends: it is asked again. Every other
    /// error fails the case.
    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        let _ = settings;
        Ok(None)
    }

    /// The store that was made last as a crash at this moment leaves it, opened with these settings. The store of before
    /// is still open, and stays as it is; from here on this one is the last. `None` where a crash cannot be shown.
    ///
    /// # Errors
    /// Whatever keeps it from being opened. The case fails with it.
    fn crash(&mut self, settings: Builder) -> Result<Option<Store>> {
        let _ = settings;
        Ok(None)
    }

    /// Another handle on this store, which is open: as another process has one. It ends with the first at the latest.
    ///
    /// # Errors
    /// Whatever keeps it from being opened. The case fails with it.
    fn beside(&mut self, store: &Store) -> Result<Store> {
        Ok(store.beside())
    }

    /// Whether the engine looks after its own storage: flush, figures and verification.
    fn has_maintenance(&self) -> bool {
        true
    }
}

/// What a case needs and not every engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// A store that was closed can be opened again: [`Home::reopen`].
    Reopen,
    /// What a crash leaves can be seen: [`Home::crash`].
    Crash,
    /// Flush, figures and verification: [`Home::has_maintenance`].
    Maintenance,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reopen => "reopening",
            Self::Crash => "crashes",
            Self::Maintenance => "maintenance",
        })
    }
}
