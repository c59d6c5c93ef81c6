//! Opening the store for a verb. A store that another process has open is shared with it.

use std::time::Duration;

use super::app::App;
use super::remote::open;
use super::table::clean;
use retold::error::{Error, Result};
use retold::event::Catalogue;
use retold::store::{Builder, Rank, Store};

impl App {
    /// The known types: the built-in ones and those of `--types`.
    pub(super) fn catalogue(&self) -> Result<Catalogue> {
        self.types.as_ref().map_or_else(|| Ok(Catalogue::default()), Catalogue::from_file)
    }

    /// A builder with the settings in effect, including types and upcasters.
    pub(super) fn builder(&self) -> Result<Builder> {
        Ok(shared(self.settings.builder()?, &self.program, self.wait))
    }

    /// Opens for reading: whoever writes waits no longer than one read takes.
    pub(super) fn reading(&self) -> Result<Store> {
        let store = open(&self.store, &self.remote, self.builder()?.read_only())?;
        self.damage.borrow_mut().extend(store.maintenance().damage().iter().map(|d| clean(&d.to_string())));
        Ok(store)
    }

    /// Opens an existing store for writing.
    pub(super) fn changing(&self) -> Result<Store> {
        open(&self.store, &self.remote, self.builder()?.open_only())
    }

    /// Opens for writing; a missing store is created.
    pub(super) fn writing(&self) -> Result<Store> {
        open(&self.store, &self.remote, self.builder()?)
    }
}

/// What every verb says of itself to the other processes of a store: any of them may take it over.
pub(super) fn shared(how: Builder, program: &str, wait: Duration) -> Builder {
    how.rank(Rank::Cli).program(program).wait(wait)
}

/// Whether an error says only that the store cannot be had at the moment, or that its owner went away meanwhile.
pub(super) fn is_passing(error: &Error) -> bool {
    !matches!(error, Error::Closed { .. }) && error.is_retryable()
}
