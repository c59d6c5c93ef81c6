//! The stores that this process has open, by their files: a second opening of one is another handle on it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::handle::{Handle, Part};
use super::places::Places;
use super::reading;
use super::remote;
use super::sharing::{Sharing, SharingConfig};
use crate::engine::file::{Mode, line_of, prepare};
use crate::engine::file_id::FileId;
use crate::engine::identity::Identity;
use crate::engine::port::Engine;
use crate::engine::process::Process;
use crate::engine::shared::Dialer;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};
use crate::limits::OWNER_PAUSE_MS;

/// One file. Who opens it waits for who is opening it.
#[derive(Debug)]
struct Entry {
    process: Process,
    /// Where it lies, and what a file there has to say to continue it.
    file: PathBuf,
    line: Option<[u8; 16]>,
    driver: std::sync::Mutex<Weak<Driver>>,
}

impl Entry {
    /// Whether this is the store of a file that has the number under which it is kept: another may have got it since.
    fn is_of(&self, places: &Places) -> bool {
        match (self.line, places.line) {
            (Some(own), Some(line)) => own == line,
            _ => self.file == places.file,
        }
    }

    /// The file that it has; `None` if it is not the owner, or that is not known at the moment.
    fn held(&self) -> Option<FileId> {
        let driver = self.driver.try_lock().ok()?.upgrade()?;
        let is_owner = driver.sharing().seats.now().is_some_and(|seated| !seated.remote);
        is_owner.then(|| driver.site().places().id)
    }

    /// The file that lies under its name, if that is still the store.
    fn named(&self) -> Option<FileId> {
        let id = FileId::at(&self.file).ok()?;
        (self.line.is_some() && line_of(&self.file) == self.line).then_some(id)
    }

    /// Waits for whoever is opening the file in this process, until then at the most.
    fn turn(&self, until: Instant) -> Option<std::sync::MutexGuard<'_, Weak<Driver>>> {
        loop {
            match self.driver.try_lock() {
                Ok(driver) => return Some(driver),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
                Err(TryLockError::WouldBlock) => {
                    let left = until.saturating_duration_since(Instant::now());
                    std::thread::sleep(left.min(Duration::from_millis(1)));
                }
            }
        }
    }
}

type Entries = Option<HashMap<FileId, Arc<Entry>>>;

static OPEN: std::sync::Mutex<Entries> = std::sync::Mutex::new(None);

/// In a child made by fork(2), a thread that is not there may have had it, and never gives it back.
const PATIENCE: Duration = Duration::from_secs(1);

fn entries() -> Option<std::sync::MutexGuard<'static, Entries>> {
    let begun = Instant::now();
    loop {
        match OPEN.try_lock() {
            Ok(entries) => return Some(entries),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

fn entry(places: &Places) -> Arc<Entry> {
    let (id, file, line) = (places.id, places.file.clone(), places.line);
    let driver = std::sync::Mutex::default();
    let new = || Arc::new(Entry { process: Process::this(), file, line, driver });
    let Some(mut entries) = entries() else { return new() };
    let entries = entries.get_or_insert_default();
    // What nobody opens, and nobody has open, is forgotten; so is what the parent of this process has.
    entries.retain(|_, entry| {
        let is_ours = entry.process.is_surely_this();
        let is_used = || match entry.driver.try_lock() {
            Ok(driver) => driver.strong_count() > 0,
            Err(_) => true,
        };
        is_ours && (Arc::strong_count(entry) > 1 || is_used())
    });
    find_again(entries);
    if let Some(entry) = entries.get(&id).filter(|entry| entry.is_of(places)) {
        return entry.clone();
    }
    // It may be moving just now.
    let moves = |entry: &&Arc<Entry>| line.is_some() && (entry.line, &entry.file) == (line, &places.file);
    if let Some(entry) = entries.values().find(moves) {
        return entry.clone();
    }
    let entry = new();
    entries.insert(id, entry.clone());
    entry
}

/// What this process has open may have moved into another file, and the number of the one before may be another's by now. An
/// owner knows its file, and nobody else can have that; of others, what lies under the name says it.
fn find_again(entries: &mut HashMap<FileId, Arc<Entry>>) {
    let mut moved = Vec::new();
    for (before, entry) in entries.iter() {
        let held = entry.held();
        let now = held.or_else(|| entry.named()).filter(|now| now != before);
        moved.extend(now.map(|now| (*before, now, held.is_some())));
    }
    let moved: Vec<_> = moved
        .into_iter()
        .filter_map(|(before, now, is_held)| Some((now, is_held, entries.remove(&before)?)))
        .collect();
    for (now, is_held, entry) in moved {
        match is_held {
            true => drop(entries.insert(now, entry)),
            false => drop(entries.entry(now).or_insert(entry)),
        }
    }
}

/// Opens the store of a file: as its owner, as a client of its owner, or as another handle of this process.
///
/// # Errors
/// [`Error::Locked`] when it stays in use and cannot be shared, and what opening a file can fail with.
pub(crate) fn open(path: &Path, config: SharingConfig) -> Result<Arc<dyn Engine>> {
    let until = Instant::now() + config.wait;
    if config.file.read_only {
        if let Some(engine) = reading_of_this_process(path, &config, until) {
            return Ok(engine);
        }
        let (reading, identity) = reading::open(path, config, until)?;
        return Ok(Handle::on(Part::Reader(reading), identity));
    }
    let upgraded = prepared(path, &config, until)?;
    loop {
        let places =
            Places::of(path).map_err(|e| Error::storage(format!("{} cannot be opened: {e}", config.name)))?;
        let mut own = config.clone();
        own.file.mode = Mode::OpenOnly;
        own.file.upgrade = false;
        own.wait = until.saturating_duration_since(Instant::now());
        let (alone, waited) = (config.exclusive, config.wait);
        let entry = entry(&places);
        let Some(mut there) = entry.turn(until) else {
            let reason = "this process itself is just opening it".into();
            return Err(Error::Locked { path: config.name, reason });
        };
        let driver = match there.upgrade().filter(|driver| driver.sharing().join()) {
            Some(driver) if alone || driver.sharing().config.exclusive => {
                drop(there);
                part_with(&driver);
                if Instant::now() >= until {
                    let reason =
                        "this process has it open already, and it was to be opened exclusively".into();
                    return Err(Error::Locked { path: config.name, reason });
                }
                std::thread::sleep(Duration::from_millis(OWNER_PAUSE_MS));
                continue;
            }
            Some(driver) => driver,
            None => {
                let sharing = Sharing::new(SharingConfig { wait: waited, ..own.clone() });
                let driver = Driver::open(sharing, places, until)?;
                driver.sharing().join();
                *there = Arc::downgrade(&driver);
                driver
            }
        };
        drop(there);
        return handle(driver, path, config.name, false, upgraded);
    }
}

/// Opens the store that a server has, wherever that is. Each opening has a connection of its own.
///
/// # Errors
/// Those of the dialer, and [`Error::Unreachable`] and [`Error::Refused`].
pub(crate) fn connect(dialer: Arc<dyn Dialer>, config: SharingConfig) -> Result<Arc<dyn Engine>> {
    let until = Instant::now() + config.wait;
    let (remote, identity) = remote::open(dialer, config, until)?;
    Ok(Handle::on(Part::Remote(remote), identity))
}

/// A handle on what this process has joined, and parts with when it fails.
fn handle(
    driver: Arc<Driver>,
    path: &Path,
    name: String,
    read_only: bool,
    upgraded: Option<Upgraded>,
) -> Result<Arc<dyn Engine>> {
    let found = driver.sharing().seats.wait(None).map(|inside| inside.seated.engine.identity().clone());
    match found {
        Ok(identity) => {
            let path = std::path::absolute(path).ok();
            let identity = Identity { name, path, read_only, upgraded, ..identity };
            Ok(Handle::on(Part::Owner(driver), identity))
        }
        Err(error) => {
            part_with(&driver);
            Err(error)
        }
    }
}

/// Takes back what was joined. All handles may have been closed meanwhile, and then this was the last.
fn part_with(driver: &Arc<Driver>) {
    if driver.sharing().part()
        && let Err(error) = driver.close()
    {
        tracing::warn!(%error, "the store could not be closed properly");
    }
}

/// A handle on what this process has open already, for one that only reads.
fn reading_of_this_process(path: &Path, config: &SharingConfig, until: Instant) -> Option<Arc<dyn Engine>> {
    let entry = entry(&Places::of(path).ok()?);
    let driver = entry.turn(until)?.upgrade().filter(|driver| driver.sharing().join())?;
    handle(driver, path, config.name.clone(), true, None).ok()
}

/// Makes a file that is missing, and brings one of an earlier format up to date.
fn prepared(path: &Path, config: &SharingConfig, until: Instant) -> Result<Option<Upgraded>> {
    loop {
        match prepare(path, &config.name, &config.file) {
            Err(Error::Locked { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(OWNER_PAUSE_MS));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Durability;
    use crate::engine::file::Options;
    use crate::engine::rank::Rank;

    #[test]
    fn who_takes_back_what_it_joined_closes_the_store_that_all_others_have_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let config = SharingConfig {
            rank: Rank::Application,
            exclusive: true,
            wait: Duration::ZERO,
            program: "app".to_owned(),
            payload_bytes: 1_000,
            durability: Durability::Durable,
            file: Options::default(),
            name: "a.redb".to_owned(),
        };
        let engine = open(&path, config.clone()).unwrap();
        let there = entry(&Places::of(&path).unwrap());
        let driver = there.turn(Instant::now()).unwrap().upgrade().unwrap();
        // As who opens it does, before it finds that it cannot have it.
        assert!(driver.sharing().join());
        engine.close().unwrap();
        part_with(&driver);
        assert!(open(&path, config).is_ok(), "nobody has closed it");
    }
}
