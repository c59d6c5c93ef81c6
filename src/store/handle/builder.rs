//! How a store is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::StorageBackend;

use super::settings::Settings;
use super::store::Store;
use crate::engine::{Durability, Engine, Medium, Mode, Options, Rank, open, open_in_memory};
#[cfg(unix)]
use crate::engine::{SharingConfig, open_shared};
use crate::error::Result;
use crate::event::{Catalogue, Invalid};
use crate::limits::{
    DEFAULT_PAYLOAD_BYTES, DEFAULT_WAIT_MS, MAX_PAYLOAD_BYTES, PROJECT_FLUSH_MS, PROJECT_LEASE_MS,
};
use crate::schema::{Guard, Upcasts, Validation, own_upcasters};
use crate::store::unblocked::unblocked;

/// Settings for opening a store.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let store = retold::Store::builder().cache_bytes(16 << 20).open(dir.path().join("runs.redb"))?;
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    options: Options,
    settings: Settings,
    catalogue: Option<Catalogue>,
    strict: bool,
    validation: Validation,
    sharing: Sharing,
}

/// How the process takes part in a store that others use too.
#[derive(Clone, Debug)]
struct Sharing {
    rank: Rank,
    exclusive: bool,
    wait: Duration,
    program: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            options: Options::default(),
            settings: Settings {
                durability: Durability::Durable,
                payload_bytes: DEFAULT_PAYLOAD_BYTES,
                upcasts: None,
                guard: Arc::default(),
                project_flush: Duration::from_millis(PROJECT_FLUSH_MS),
                project_lease: Duration::from_millis(PROJECT_LEASE_MS),
            },
            catalogue: None,
            strict: false,
            validation: Validation::Off,
            sharing: Sharing {
                rank: Rank::Application,
                exclusive: false,
                wait: Duration::from_millis(DEFAULT_WAIT_MS),
                program: None,
            },
        }
    }
}

impl Store {
    /// Opens a store, creating it if it does not exist.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Builder::new().open(path)
    }

    /// [`open`](Self::open) for tasks. Cancellation as with [`Builder::open_async`].
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open_async(path: impl AsRef<Path>) -> Result<Self> {
        Builder::new().open_async(path).await
    }

    /// A store that lives in memory and ends with its last handle: the same answers without a file.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn in_memory() -> Result<Self> {
        Builder::new().in_memory()
    }

    /// Starts opening a store with other settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// The defaults, which [`Store::open`] uses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Size of the page cache in bytes; 28 MiB by default.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// Flushes the tail, the events in memory, at this many events or encoded bytes; 8,192 and 4 MiB by default.
    pub fn flush_after(mut self, events: usize, bytes: usize) -> Self {
        (self.options.flush_events, self.options.flush_bytes) = (events, bytes);
        self
    }

    /// Flushes the tail after this long without an append; half a second by default. After a crash, a flushed store
    /// has no journal to recover.
    pub fn flush_when_idle(mut self, after: Duration) -> Self {
        self.options.idle_flush = after;
        self
    }

    /// How long after the last append the store notes, outside its journal, that it was acknowledged, by default a tenth of a
    /// second. Damage to the end of the journal is recognised from then on; before, it looks as if the append had never been
    /// made. It costs one write and one sync each time that appends pause.
    pub fn note_when_idle(mut self, after: Duration) -> Self {
        self.options.note = after;
        self
    }

    /// The durability of appends that do not choose one.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// The largest payload in bytes; 16 MiB by default.
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.settings.payload_bytes = bytes;
        self
    }

    /// `false` never syncs the file, for tests. A crash of the system can then lose or damage the whole store.
    pub fn sync(mut self, sync: bool) -> Self {
        self.options.sync = sync;
        self
    }

    /// Commits flushes with two syncs instead of one, so that a half-written commit is never accepted because its
    /// checksum matches by chance or by an attacker's design.
    pub fn two_phase(mut self, two_phase: bool) -> Self {
        self.options.two_phase = two_phase;
        self
    }

    /// Whether each flush also writes what is needed to open the file without a repair after a kill; `true` by
    /// default. Otherwise that is written when the store is closed or idle, and opening after a kill takes time in proportion to the file.
    pub fn fast_recovery(mut self, fast: bool) -> Self {
        self.options.fast_recovery = fast;
        self
    }

    /// Keeps so many bytes of the disk for what was recorded already, in a file of its own beside the store. When the disk is
    /// full, appends are refused with [`Error::Storage`](crate::Error::Storage) until there is space again, and nothing else
    /// happens: everything that was acknowledged can still be moved from the journal into the tables, and be read, and
    /// consumers go on. The space of the journal itself is taken as the file is opened. Without this, a full disk is met by
    /// whatever comes to it first; the store then opens its file again once there is space.
    ///
    /// A flush needs a few times what it moves, 4 MiB by default: 16 MiB is a good start, 64 MiB where ids are random.
    pub fn reserve(mut self, bytes: u64) -> Self {
        self.options.reserve = Some(bytes);
        self
    }

    /// Size of the journal in a new store, in bytes, for tests.
    #[doc(hidden)]
    pub fn journal_bytes(mut self, bytes: u64) -> Self {
        self.options.journal_bytes = Some(bytes);
        self
    }

    /// The types that this store knows; the built-in ones by default.
    ///
    /// ```
    /// use retold::event::{Catalogue, TypeSpec};
    /// use retold::{Error, NewEvent, Store};
    /// let types = Catalogue::builtin().with([TypeSpec::named("parcel.shipped")])?;
    /// let store = Store::builder().types(types).strict(true).in_memory()?;
    /// store.append("p-7", NewEvent::new("parcel.shipped"))?;
    /// assert!(matches!(store.append("p-7", NewEvent::new("parcel.shiped")), Err(Error::Invalid(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn types(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// `true` refuses events of a type that the catalogue does not know by name, alias or pattern. Events that are
    /// already recorded can still be read.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Whether JSON payloads are validated against the schema of their type when they are appended; off by default.
    /// Payloads of a different version than the schema's, and those of types without a schema, are not checked.
    pub fn validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// How often snapshots of projections are written while events arrive; every second by default. What was not
    /// written is folded again after a crash.
    pub fn project_every(mut self, interval: Duration) -> Self {
        self.settings.project_flush = interval;
        self
    }

    /// How long the lease on a projection lasts, for tests: after that another handle may take over what its holder has
    /// left undone.
    #[doc(hidden)]
    pub fn project_lease(mut self, span: Duration) -> Self {
        self.settings.project_lease = span;
        self
    }

    /// Fails with [`Error::NotFound`](crate::Error::NotFound) if the file does not exist.
    pub fn open_only(mut self) -> Self {
        self.options.mode = Mode::OpenOnly;
        self
    }

    /// Fails with [`Error::Exists`](crate::Error::Exists) if the file exists.
    pub fn create_only(mut self) -> Self {
        self.options.mode = Mode::CreateOnly;
        self
    }

    /// The upcasters that bring old events to their newest shape as they are read, on every path: reading, following,
    /// comparing, exporting. What is stored does not change, and can be read with
    /// [`Query::raw`](crate::store::Query::raw), [`Follow::raw`](crate::follow::Follow::raw) and [`Store::get_raw`]. An
    /// event that cannot be upcast is reported as [`Error::Upcast`](crate::Error::Upcast) in its place; readers
    /// continue after it. Events of types without upcasters cost one table lookup.
    pub fn upcasts(mut self, upcasts: Upcasts) -> Self {
        self.settings.upcasts = Some(upcasts);
        self
    }

    /// How long to wait for a store that another process has open and does not share, and for an owner that does not
    /// answer; 2 seconds by default. Zero fails at once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.sharing.wait = wait;
        self
    }

    /// Has the file alone: other processes get [`Error::Locked`](crate::Error::Locked), and so does this call if one has
    /// the store open already.
    pub fn exclusive(mut self) -> Self {
        self.sharing.exclusive = true;
        self
    }

    /// Which of several processes owns the file, and does the work of the others: one of higher rank takes it over from
    /// one of lower rank. An application by default.
    pub fn rank(mut self, rank: Rank) -> Self {
        self.sharing.rank = rank;
        self
    }

    /// How this process calls itself to the others; the name of its program by default.
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.sharing.program = Some(name.into());
        self
    }

    /// Opens an existing file for reading. While a process owns the file, this one is its client. Otherwise the file is
    /// locked only while something is read, so that a process that comes to write need not wait for long.
    pub fn read_only(mut self) -> Self {
        (self.options.read_only, self.options.mode) = (true, Mode::OpenOnly);
        self
    }

    /// Opens the store. If another process has it open, this one works on it through that process, and takes it over when
    /// that ends: see [many processes](https://docs.rs/retold). If this process has it open, this is another handle on the
    /// same; the settings of the file are then those of the first.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) if another process has it open and cannot share it, with the reason,
    /// [`Error::Invalid`](crate::Error::Invalid) if the file is not a store, or if payloads are to be validated and a
    /// schema of the catalogue is invalid,
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it is damaged,
    /// [`Error::NewerFormat`](crate::Error::NewerFormat) if a newer release wrote it, and
    /// [`Error::Storage`](crate::Error::Storage) if the file system fails.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        self.open_medium(Medium::File(path.as_ref().to_owned()))
    }

    /// [`open`](Self::open) for tasks.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = retold::Store::builder().open_async(dir.path().join("runs.redb")).await?;
    /// store.close_async().await?;
    /// # Ok::<(), retold::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future does not stop the opening: the store is opened, or made, and closed again.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(self, path: impl AsRef<Path>) -> Result<Store> {
        let path = path.as_ref().to_owned();
        unblocked(move || self.open(path)).await
    }

    /// Opens a store that lives in memory and ends with its last handle: the same answers from plain maps, without a
    /// file, a journal or a flush. What is set here for files is passed over, and every append is as durable as another.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn in_memory(self) -> Result<Store> {
        let engine = open_in_memory(self.options.read_only);
        self.on(engine)
    }

    /// Opens a store on a given storage, for tests that count, delay or fail its operations.
    #[doc(hidden)]
    pub fn with_backend(self, backend: Box<dyn StorageBackend>) -> Result<Store> {
        self.open_medium(Medium::Backend(backend))
    }

    fn open_medium(self, medium: Medium) -> Result<Store> {
        let options = self.options.clone();
        let checked = self.checked()?;
        let engine: Arc<dyn Engine> = match medium {
            #[cfg(unix)]
            Medium::File(path) => {
                open_shared(&path, checked.sharing_config(options, path.display().to_string()))?
            }
            medium => open(medium, options)?,
        };
        Ok(Store::new(engine, checked.settings))
    }

    /// How this process takes part in the store of this name, and what its handle does.
    #[cfg(unix)]
    pub(crate) fn taking_part(self, name: String) -> Result<(SharingConfig, Settings)> {
        let options = self.options.clone();
        let checked = self.checked()?;
        Ok((checked.sharing_config(options, name), checked.settings))
    }

    #[cfg(unix)]
    fn sharing_config(&self, file: Options, name: String) -> SharingConfig {
        let Sharing { rank, exclusive, wait, program } = self.sharing.clone();
        SharingConfig {
            rank,
            exclusive,
            wait,
            program: program.unwrap_or_else(this_program),
            payload_bytes: self.settings.payload_bytes,
            durability: self.settings.durability,
            file,
            name,
        }
    }

    /// A store on an engine that is open.
    pub(crate) fn on(self, engine: Arc<dyn Engine>) -> Result<Store> {
        Ok(Store::new(engine, self.checked()?.settings))
    }

    #[cfg(all(unix, feature = "testkit"))]
    pub(crate) fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    fn checked(mut self) -> Result<Self> {
        let bytes = self.settings.payload_bytes;
        if bytes > MAX_PAYLOAD_BYTES {
            let reason = format!("is {bytes}; the maximum is {MAX_PAYLOAD_BYTES}");
            return Err(Invalid::new("max_payload_bytes", reason).into());
        }
        let own = own_upcasters()?;
        if !own.is_empty() {
            let given = self.settings.upcasts.iter().flat_map(Upcasts::upcasters).cloned();
            self.settings.upcasts = Some(Upcasts::new(own.into_iter().chain(given))?);
        }
        self.settings.upcasts = self.settings.upcasts.filter(|u| !u.is_empty());
        let guard = Guard::new(self.catalogue.take(), self.strict, self.validation)?;
        self.settings.guard = Arc::new(guard);
        Ok(self)
    }
}

/// The name of the program that runs.
#[cfg(unix)]
fn this_program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
