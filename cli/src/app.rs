//! What every verb is given.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use super::output::Out;
use retold::config::Settings;

pub(crate) struct App {
    pub(crate) out: Out,
    pub(crate) store: PathBuf,
    /// `--store`, without the environment.
    pub(crate) store_flag: Option<PathBuf>,
    /// A folder of event steps. None is read that was not named.
    pub(crate) migrations: Option<PathBuf>,
    pub(crate) wait: Duration,
    /// The file of users' types.
    pub(crate) types: Option<PathBuf>,
    pub(crate) settings: Settings,
    /// What stores that were opened to be read had to go without.
    pub(crate) damage: RefCell<Vec<String>>,
}
