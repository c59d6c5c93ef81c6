//! Opening and creating the file, with a clear error for whatever it may turn out to be.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use tracing::{info, info_span};

use super::agreement::disagreements;
use super::create::{create_file, remove_left};
use super::initialise::initialise;
use super::meta_row::{read_meta, usable};
use super::old::{frames, is_bare};
use super::recover::{largest_id, load_journal};
use super::refusal::{io_error, not_a_store};
use super::storage::{bare_storage, file_backend, is_earlier, open_damaged_tables, storage_of};
use super::upgrade::upgrade_file;
use crate::codec::{FORMAT, Features, line_of_secret};
use crate::engine::file::contents::Contents;
use crate::engine::file::disk::ballast;
use crate::engine::file::disk::journal::{Hole, JournalFile, Ring};
use crate::engine::file::disk::layout::{Storage, lay_out};
use crate::engine::file::disk::place::FilePlace;
use crate::engine::file::in_memory::branches::Branches;
use crate::engine::file::options::{Mode, Options};
use crate::engine::file::redb_errors::{corrupt, guarded};
use crate::engine::identity::Identity;
use crate::engine::problem::Problem;
use crate::engine::upgraded::Upgraded;
use crate::error::{Error, Result};
use crate::event::{EventId, StoreId, Timestamp};
use crate::files::{self, Length, preallocate};
use crate::limits::JOURNAL_BYTES_IN_MEMORY;

/// Where the bytes are.
pub(crate) enum Medium {
    File(PathBuf),
    Backend(Box<dyn StorageBackend>),
}

/// What opening has found, before any thread works on it.
pub(crate) struct Loaded {
    pub(crate) contents: Arc<Contents>,
    pub(crate) ring: Ring,
    pub(crate) journal: JournalFile,
    pub(crate) next_branch: u64,
    /// Whether branches may expire, of those in the tables.
    pub(crate) has_expiry: bool,
}

pub(crate) fn load(medium: Medium, options: Options) -> Result<Loaded> {
    let (name, path) = match &medium {
        Medium::File(path) => (path.display().to_string(), std::path::absolute(path).ok()),
        Medium::Backend(_) => ("the store in memory".to_owned(), None),
    };
    let _span = info_span!("open", store = %name).entered();
    guarded(|| {
        let (storage, upgraded) = match medium {
            Medium::File(path) => open_file(&path, &name, &options)?,
            Medium::Backend(backend) => (open_backend(backend, &name, &options)?, None),
        };
        let left = path.clone().filter(|_| !options.read_only);
        let store = load_storage(&storage, upgraded, name, path, options)?;
        // Left behind by a process that lost the race to create this store, or that was killed between creating it
        // and removing the second name. Nobody may ever create it again, so each opening looks.
        left.iter().for_each(|path| {
            remove_left(path);
            ballast::remove_left(path);
        });
        Ok(store)
    })
}

/// Makes the file if it is missing, and upgrades it if it is of an earlier format: what happens once, before anybody asks
/// whose it is.
pub(crate) fn prepare(path: &Path, name: &str, options: &Options) -> Result<Option<Upgraded>> {
    let _span = info_span!("open", store = %name).entered();
    guarded(|| {
        appear(path, name, options)?;
        let file = File::open(path).map_err(|e| io_error(name, &e))?;
        match is_earlier(&file).map_err(|e| io_error(name, &e))? {
            true => upgrade_file(path, name, options),
            false => Ok(None),
        }
    })
}

/// A file that can be opened is there, or there is an error that says why not.
fn appear(path: &Path, name: &str, options: &Options) -> Result<()> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if options.mode == Mode::OpenOnly {
                return Err(Error::not_found("store", name));
            }
            create_file(path, name, options)?;
        }
        Err(e) => return Err(io_error(name, &e)),
        Ok(_) if options.mode == Mode::CreateOnly => {
            return Err(Error::Exists { what: "store", name: name.to_owned() });
        }
        Ok(meta) if meta.is_dir() => return Err(not_a_store(name, "is a directory")),
        Ok(meta) if !meta.is_file() => return Err(not_a_store(name, "is not a plain file")),
        Ok(_) => {}
    }
    Ok(())
}

/// The storage of a file, and how it was upgraded if it was of an earlier format.
pub(crate) fn open_file(path: &Path, name: &str, options: &Options) -> Result<(Storage, Option<Upgraded>)> {
    appear(path, name, options)?;
    let open = || {
        let file = OpenOptions::new().read(true).write(!options.read_only).open(path);
        file.map_err(|e| io_error(name, &e))
    };
    let file = open()?;
    let failed = |e: io::Error| io_error(name, &e);
    let place = FilePlace::at(&std::path::absolute(path).map_err(failed)?, &file).map_err(failed)?;
    if options.read_only && is_bare(&file).map_err(|e| io_error(name, &e))? {
        return Ok((bare_storage(file_backend(file, name)?, name)?, None));
    }
    if !options.read_only && is_earlier(&file).map_err(|e| io_error(name, &e))? {
        if !options.upgrade {
            let reason =
                format!("{name} is of an earlier format; close it in every process, then open it again");
            return Err(Error::storage(reason));
        }
        drop(file);
        let upgraded = upgrade_file(path, name, options)?;
        return open_file(path, name, options).map(|(storage, _)| (storage, upgraded));
    }
    let stale = file.try_clone().map_err(|e| io_error(name, &e))?;
    let journal = open()?;
    if !place.is(&journal).map_err(failed)? {
        let reason = "the file was replaced while it was opened".to_owned();
        return Err(Error::Locked { path: name.to_owned(), reason });
    }
    let mut storage = storage_of(file_backend(file, name)?, file_backend(journal, name)?, name, options)?;
    storage.place = place;
    // A file without tables was cut off; only a storage supplied by the caller is initialised here.
    if storage.tables.len().map_err(|e| io_error(name, &e))? <= storage.header.tables {
        return Err(corrupt(name, "it ends early"));
    }
    if !options.read_only && options.sync {
        // Whoever gave it its name may have been killed before that was on the disk.
        sync_folder_of(path).map_err(failed)?;
    }
    if options.reserve.is_some()
        && !options.read_only
        && let Err(error) = preallocate(&stale, storage.header.tables, Length::Grows)
    {
        tracing::warn!(%error, "the space of the journal cannot be taken ahead");
    }
    storage.stale = storage.is_dirty().map_err(|e| io_error(name, &e))?.then(|| Arc::new(stale));
    Ok((storage, None))
}

/// Puts the name of a file on the disk.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    // A symbolic link may lie in another folder than the file.
    files::sync_folder_of(&fs::canonicalize(path)?)
}

fn open_backend(backend: Box<dyn StorageBackend>, name: &str, options: &Options) -> Result<Storage> {
    let backend: Arc<dyn StorageBackend> = Arc::from(backend);
    if backend.len().map_err(|e| io_error(name, &e))? == 0 {
        let bytes = options.journal_bytes.unwrap_or(JOURNAL_BYTES_IN_MEMORY);
        lay_out(&*backend, bytes, None).map_err(|e| io_error(name, &e))?;
    }
    storage_of(backend.clone(), backend, name, options)
}

/// Reads `meta` and the journal, the only parts that opening depends on.
fn load_storage(
    storage: &Storage,
    upgraded: Option<Upgraded>,
    name: String,
    path: Option<PathBuf>,
    options: Options,
) -> Result<Loaded> {
    let fresh = storage.tables.len().map_err(|e| io_error(&name, &e))? == storage.header.tables;
    let dirty = !fresh && storage.is_dirty().map_err(|e| io_error(&name, &e))?;
    let (db, found) = open_damaged_tables(storage, &name, &options)?;
    let mut damage = storage.damage.clone();
    damage.extend(found);
    if fresh {
        initialise(&db)?;
    }
    let txn = db.begin_read()?;
    let bare = storage.is_bare();
    let meta = read_meta(&txn, &name, options.read_only.then_some(&mut damage))?;
    usable(&meta, &name, options.read_only)?;
    let mended = damage.len();
    for problem in disagreements(&txn, &meta)? {
        let way_out = "open the store read-only to see what can be read";
        damage.push(gone_without(problem.into_error(), options.read_only, way_out)?);
    }
    let changed = meta.features.incompatible & Features::LIFECYCLE != 0;
    let branches = Branches::new();
    let source = storage.journal_file();
    let recovered = Ring::recover(&source, meta.journal, dirty && !bare)?;
    let frames = if bare { frames(&txn)? } else { recovered.frames };
    let max_flushed_id = if options.read_only { None } else { largest_id(&txn, &branches)? };
    let journal = load_journal(&txn, &meta, frames, &branches)?;
    drop(txn);
    if let Some(error) = journal.broken.or(recovered.hole.map(Hole::error)) {
        let way_out = "open the store read-only to see what was recorded before";
        damage.push(gone_without(error, options.read_only, way_out)?);
    }
    info!(journal = journal.tail.len(), flushed = meta.flushed, "opened");
    let tail = journal.tail.with_max_flushed_id(max_flushed_id);
    let identity = Identity {
        id: StoreId::from_bytes(meta.store),
        opening: EventId::new(),
        created: Timestamp::from_micros(meta.created),
        format: meta.format,
        name,
        path,
        read_only: options.read_only,
        upgraded,
        lacks: damage.get(mended).cloned(),
        damage,
    };
    let place = storage.place.clone();
    let line = (meta.format == FORMAT).then(|| line_of_secret(&source.secret));
    Ok(Loaded {
        contents: Arc::new(Contents::new((identity, line, place), options, db, (tail, branches), changed)),
        ring: recovered.ring,
        journal: source,
        next_branch: journal.next_branch,
        has_expiry: meta.features.compatible & Features::EXPIRY != 0,
    })
}

/// What a read-only store does without. A writer would overwrite it, and gets an error.
fn gone_without(error: Error, read_only: bool, way_out: &str) -> Result<Problem> {
    match error {
        Error::Corrupt { place, reason } if read_only => Ok(Problem::new(place, reason)),
        Error::Corrupt { place, reason } => {
            Err(Error::Corrupt { place, reason: format!("{reason}; {way_out}") })
        }
        error => Err(error),
    }
}
