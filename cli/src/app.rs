//! What every verb gets.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use super::output::Out;
use super::remote::Remote;
use super::telemetry::Telemetry;
use retold::config::Settings;

pub(crate) struct App {
    pub(crate) out: Out,
    /// The store's file, or the URL of its server.
    pub(crate) store: PathBuf,
    /// What is said of a store behind a URL.
    pub(crate) remote: Remote,
    /// `--store`, without the environment.
    pub(crate) store_flag: Option<PathBuf>,
    /// The folder of upcasters. None is read unless it is named.
    pub(crate) migrations: Option<PathBuf>,
    pub(crate) wait: Duration,
    /// How this process calls itself to others: `retold tail`.
    pub(crate) program: String,
    /// The file of user-defined types.
    pub(crate) types: Option<PathBuf>,
    pub(crate) settings: Settings,
    /// What a server sends to a collector.
    pub(crate) telemetry: Telemetry,
    /// What is missing from damaged stores that were opened for reading.
    pub(crate) damage: RefCell<Vec<String>>,
}
