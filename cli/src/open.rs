//! Opening the store for a verb. Opening a store that is in use is retried for a moment, since verbs are short.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::app::App;
use super::table::clean;
use retold::error::{Error, Result};
use retold::event::Catalogue;
use retold::store::{Builder, Store};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(15);

impl App {
    /// The known types: the built-in ones and those of `--types`.
    pub(super) fn catalogue(&self) -> Result<Catalogue> {
        self.types.as_ref().map_or_else(|| Ok(Catalogue::default()), Catalogue::from_file)
    }

    /// A builder with the settings in effect, including types and upcasters.
    pub(super) fn builder(&self) -> Result<Builder> {
        self.settings.builder()
    }

    /// Opens for reading: several processes may.
    pub(super) fn reading(&self) -> Result<Store> {
        let store = waited(self.builder()?.read_only(), &self.store, self.wait)?;
        self.damage.borrow_mut().extend(store.maintenance().damage().iter().map(|d| clean(&d.to_string())));
        Ok(store)
    }

    /// Opens an existing store for writing.
    pub(super) fn changing(&self) -> Result<Store> {
        waited(self.builder()?.open_only(), &self.store, self.wait)
    }

    /// Opens for writing; a missing store is created.
    pub(super) fn writing(&self) -> Result<Store> {
        waited(self.builder()?, &self.store, self.wait)
    }
}

/// Opens a store once no other process has it open, or fails because one still does.
pub(super) fn waited(how: Builder, path: &Path, wait: Duration) -> Result<Store> {
    let begun = Instant::now();
    loop {
        match how.clone().open(path) {
            Err(Error::Locked { .. }) if begun.elapsed() < wait => {
                sleep(PAUSE.min(wait.saturating_sub(begun.elapsed())));
            }
            result => return result,
        }
    }
}
