//! Opening the store for a verb. A store that is in use is asked for again for a moment: verbs are short.

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
    /// The types that are known: the built-in ones and those of `--types`.
    pub(super) fn catalogue(&self) -> Result<Catalogue> {
        self.types.as_ref().map_or_else(|| Ok(Catalogue::default()), Catalogue::from_file)
    }

    /// As the settings have it, with the types and the event steps that were asked for.
    pub(super) fn builder(&self) -> Result<Builder> {
        self.settings.builder()
    }

    /// To read: several processes may.
    pub(super) fn reading(&self) -> Result<Store> {
        let store = waited(self.builder()?.read_only(), &self.store, self.wait)?;
        self.damage.borrow_mut().extend(store.maintenance().damage().iter().map(|d| clean(&d.to_string())));
        Ok(store)
    }

    /// To change what is there.
    pub(super) fn changing(&self) -> Result<Store> {
        waited(self.builder()?.open_only(), &self.store, self.wait)
    }

    /// To write; a store that is not there yet is made.
    pub(super) fn writing(&self) -> Result<Store> {
        waited(self.builder()?, &self.store, self.wait)
    }
}

/// Opens a store as soon as nobody else has it, or tells that somebody still has.
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
