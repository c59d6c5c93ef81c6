//! Settings from `retold.toml`, the environment (`RETOLD_…`) and the command line, each overriding those before it, and
//! where every value came from.
//!
//! Your program can read the same settings as the program `retold`:
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("retold.toml"), "cache_bytes = 8_388_608\nstore = \"runs.redb\"\n")?;
//! use retold::config::Settings;
//! let settings = Settings::loader().from_folder(dir.path()).set("flush_events", 1_000).load()?;
//! let store = settings.builder()?.open(settings.store())?;
//! # store.close()?;
//! # assert!(dir.path().join("runs.redb").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod find;
mod load;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::value::Plain;
use crate::bus::{Bus, BusBuilder};
use crate::consumer::ConsumerConfig;
use crate::error::Result;
use crate::event::{Catalogue, Invalid};
use crate::limits::MAX_DEAD_LETTERS;
use crate::schema::{Upcasts, Validation};
use crate::store::{Builder, Durability, Store};

pub use load::Loader;
pub use table::{KEYS, Key};
pub use value::{Origin, Setting, is_url};

/// All settings in effect.
#[derive(Clone, Debug)]
pub struct Settings {
    values: Vec<Setting>,
    file: Option<PathBuf>,
}

impl Settings {
    /// The settings file that was read, if any.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every key with its value and origin.
    pub fn all(&self) -> impl Iterator<Item = &Setting> {
        self.values.iter()
    }

    /// One key with its value and origin.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.values.iter().find(|setting| setting.key.name == key)
    }

    fn number(&self, key: &str) -> u64 {
        match self.get(key).map(|s| &s.plain) {
            Some(Plain::Number(n)) => *n,
            other => unreachable_key(key, other),
        }
    }

    fn count(&self, key: &str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.get(key).map(|s| &s.plain), Some(Plain::Flag(true)))
    }

    fn path(&self, key: &str) -> Option<&Path> {
        match self.get(key).map(|s| &s.plain) {
            Some(Plain::Path(path)) => path.as_deref(),
            _ => None,
        }
    }

    fn word(&self, key: &str) -> &'static str {
        match self.get(key).map(|s| &s.plain) {
            Some(Plain::Word(word)) => word,
            _ => "",
        }
    }

    /// The store's file, or the [URL](is_url) of its server.
    #[must_use]
    pub fn store(&self) -> &Path {
        self.path("store").unwrap_or(Path::new("retold.redb"))
    }

    /// The file that defines types of your own.
    #[must_use]
    pub fn types(&self) -> Option<&Path> {
        self.path("types")
    }

    /// The folder of upcasters.
    #[must_use]
    pub fn migrations(&self) -> Option<&Path> {
        self.path("migrations")
    }

    /// Handler calls that a bus runs concurrently.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.count("workers")
    }

    /// Events that a bus keeps in its history.
    #[must_use]
    pub fn history_limit(&self) -> usize {
        self.count("history_limit")
    }

    /// Dead letters kept for one consumer or handler.
    #[must_use]
    pub fn dead_letter_max(&self) -> usize {
        self.count("dead_letter_max")
    }

    /// The largest spill file in bytes; 0 for none.
    #[must_use]
    pub fn spill_bytes(&self) -> u64 {
        self.number("spill_bytes")
    }

    /// Whether a bus fires timers.
    #[must_use]
    pub fn timers(&self) -> bool {
        self.flag("timers")
    }

    /// Whether events of unknown types are refused.
    #[must_use]
    pub fn strict_types(&self) -> bool {
        self.flag("strict_types")
    }

    /// Whether payloads are validated against their schema.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for anything but `off` in a build without the feature `schema`.
    pub fn validation(&self) -> Result<Validation> {
        match self.word("validate") {
            #[cfg(feature = "schema")]
            "warn" => Ok(Validation::Warn),
            #[cfg(feature = "schema")]
            "enforce" => Ok(Validation::Enforce),
            "off" | "" => Ok(Validation::Off),
            how => {
                let reason = format!("is `{how}`, which needs a build with the feature `schema`");
                Err(Invalid::new("validate", reason).into())
            }
        }
    }

    /// A bus with these settings: workers, history, dead letters, spill, and whether it fires timers.
    pub fn bus(&self) -> BusBuilder {
        Bus::builder()
            .workers(self.workers())
            .history_limit(self.history_limit())
            .dead_letters(self.dead_letter_max())
            .spill_limit(self.spill_bytes())
            .timers(self.timers())
    }

    /// A new durable consumer with these settings: how many dead letters it keeps, up to 100,000.
    pub fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig::new().max_dead_letters(self.dead_letter_max().min(MAX_DEAD_LETTERS))
    }

    /// A store with these settings, except for its path. Reads the types and upcasters, if they are configured.
    ///
    /// # Errors
    /// Those of [`Catalogue::from_file`], [`Upcasts::from_dir`] and [`validation`](Self::validation).
    pub fn builder(&self) -> Result<Builder> {
        let durability = match self.word("durability") {
            "relaxed" => Durability::Relaxed,
            _ => Durability::Durable,
        };
        let mut builder = Store::builder()
            .cache_bytes(self.count("cache_bytes"))
            .flush_after(self.count("flush_events"), self.count("flush_bytes"))
            .flush_when_idle(Duration::from_millis(self.number("flush_idle_ms")))
            .durability(durability)
            .max_payload_bytes(self.count("max_payload_bytes"))
            .sync(self.flag("sync"))
            .two_phase(self.flag("two_phase"))
            .fast_recovery(self.flag("fast_recovery"))
            .project_every(Duration::from_millis(self.number("project_flush_ms")))
            .strict(self.strict_types())
            .validation(self.validation()?);
        if let Some(file) = self.types() {
            builder = builder.types(Catalogue::from_file(file)?);
        }
        if let Some(folder) = self.migrations() {
            builder = builder.upcasts(Upcasts::from_dir(folder)?);
        }
        Ok(builder)
    }
}

/// The table defines the sort of every key, and a test reads all of them.
fn unreachable_key(key: &str, found: Option<&Plain>) -> u64 {
    debug_assert!(false, "{key} is {found:?}, not a number");
    0
}
