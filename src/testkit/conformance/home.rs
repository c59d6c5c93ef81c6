//! The source of an engine's stores.

use std::fmt;

use crate::error::Result;
use crate::store::{Builder, Store};

/// The source of an engine's stores. A case creates one store with [`create`](Self::create), or several in turn;
/// [`reopen`](Self::reopen) and [`crash`](Self::crash) concern the latest one.
///
/// An engine that lacks an operation keeps the default method, and the cases that need it are skipped.
pub trait Home {
    /// An empty store with these settings, which shares nothing with earlier ones.
    ///
    /// # Errors
    /// Any error. The case fails with it.
    fn create(&mut self, settings: Builder) -> Result<Store>;

    /// Opens the latest store again with these settings, which may be [read-only](crate::store::Builder::read_only).
    /// It was closed, and its handles are gone. `None` for a store that ends with its last handle.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::error::Error::Locked) while an earlier reader is finishing: the suite tries again.
    /// Any other error fails the case.
    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        let _ = settings;
        Ok(None)
    }

    /// Opens the latest store with these settings, as a crash at this moment would leave it. The store itself stays
    /// open and unchanged; the one returned is the latest from now on. `None` if crashes cannot be simulated.
    ///
    /// # Errors
    /// Any error. The case fails with it.
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

/// What a case needs and not every engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// A closed store can be opened again: [`Home::reopen`].
    Reopen,
    /// Crashes can be simulated: [`Home::crash`].
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
