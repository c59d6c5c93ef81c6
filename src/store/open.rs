//! Opening and creating the file, with a clear word for everything that it may turn out to be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableTable, StorageBackend};
use tracing::{info, info_span};

use super::backend::{Wrapped, drop_cached_pages};
use super::branch::Branches;
use super::builder::{Mode, Options};
use super::commit::Core;
use super::journal::load_journal;
use super::settle::create_tables;
use super::shared::{Db, Shared};
use super::tables::{IDS, META, META_KEY};
use super::trouble::{Trouble, corrupt, guarded, malformed, translate};
use super::upgrade::{Upgraded, upgrade};
use super::writer::Writer;
use super::{Handle, Store};
use crate::codec::{Counts, FORMAT, Meta};
use crate::error::{Error, Result};
use crate::event::{EventId, Invalid, StoreId, Timestamp};

/// Where the bytes are.
pub(super) enum Medium {
    File(PathBuf),
    Backend(Box<dyn StorageBackend>),
}

/// The first bytes of every redb file, and the flag behind them that says it was not closed.
const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
const RECOVERY_REQUIRED: u8 = 2;

pub(super) fn open(medium: Medium, options: Options) -> Result<Store> {
    let name = match &medium {
        Medium::File(path) => path.display().to_string(),
        Medium::Backend(_) => "the store in memory".to_owned(),
    };
    let _span = info_span!("open", store = %name).entered();
    let (db, upgraded) = guarded(|| match medium {
        Medium::File(path) => open_file(&path, &name, &options),
        Medium::Backend(backend) => {
            let db = open_backend(backend, &name, &options)?;
            let upgraded = if options.read_only { None } else { upgrade(&db, &name, None)? };
            Ok((Db::Writable(Some(db)), upgraded))
        }
    })?;
    guarded(|| load(db, name, options, upgraded))
}

fn open_file(path: &Path, name: &str, options: &Options) -> Result<(Db, Option<Upgraded>)> {
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
    let dirty = look_at_header(path, name)?;
    if options.read_only && !dirty {
        match redb::Builder::new().set_cache_size(options.cache_bytes).open_read_only(path) {
            // The file is not as its header says: what follows repairs it, or says what is wrong.
            Err(DatabaseError::RepairAborted) => {}
            opened => return Ok((Db::ReadOnly(opened.map_err(|e| refused(name, e))?), None)),
        }
    }
    if options.read_only {
        // Only a writer can repair; once it has, the file opens for reading.
        drop(open_writable(path, name, options)?);
        let db: Result<ReadOnlyDatabase, _> =
            redb::Builder::new().set_cache_size(options.cache_bytes).open_read_only(path);
        return Ok((Db::ReadOnly(db.map_err(|e| refused(name, e))?), None));
    }
    let (db, file) = open_writable(path, name, options)?;
    let upgraded = upgrade(&db, name, Some((&file, path)))?;
    Ok((Db::Writable(Some(db)), upgraded))
}

/// The database, and the file under it: whoever reads that reads what the database's lock protects.
fn open_writable(path: &Path, name: &str, options: &Options) -> Result<(Database, File)> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| io_error(name, &e))?;
    let same = file.try_clone().map_err(|e| io_error(name, &e))?;
    let backend = FileBackend::new(file).map_err(|e| refused(name, e))?;
    let mut builder = redb::Builder::new();
    builder.set_cache_size(options.cache_bytes);
    let db = if options.sync {
        builder.create_with_backend(backend)
    } else {
        builder.create_with_backend(Wrapped { inner: Box::new(backend), sync: false })
    };
    Ok((db.map_err(|e| refused(name, e))?, same))
}

fn open_backend(backend: Box<dyn StorageBackend>, name: &str, options: &Options) -> Result<Database> {
    let empty = backend.len().map_err(|e| io_error(name, &e))? == 0;
    let db = redb::Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_with_backend(Wrapped { inner: backend, sync: options.sync })
        .map_err(|e| refused(name, e))?;
    if empty {
        initialise(&db)?;
    }
    Ok(db)
}

/// Whether the file was not closed cleanly; an error when it is no redb file at all.
fn look_at_header(path: &Path, name: &str) -> Result<bool> {
    let mut file = File::open(path).map_err(|e| io_error(name, &e))?;
    let mut header = [0; MAGIC.len() + 1];
    let mut read = 0;
    while let Some(rest) = header.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(|e| io_error(name, &e))? {
            0 => break,
            n => read += n,
        }
    }
    if read == 0 {
        return Err(not_a_store(name, "is empty"));
    }
    if !header.starts_with(MAGIC) {
        return Err(not_a_store(name, "is something else"));
    }
    let dirty = header.last().is_some_and(|flags| flags & RECOVERY_REQUIRED != 0);
    if dirty {
        drop_cached_pages(&file);
    }
    Ok(dirty)
}

fn not_a_store(name: &str, why: &str) -> Error {
    Invalid::new("store", format!("{name} {why}, not a store of retold; give another path")).into()
}

pub(super) fn io_error(name: &str, e: &io::Error) -> Error {
    Error::storage(format!("{name} cannot be opened: {e}"))
}

fn refused(name: &str, e: DatabaseError) -> Error {
    match e {
        DatabaseError::DatabaseAlreadyOpen => Error::Locked { path: name.to_owned() },
        DatabaseError::UpgradeRequired(version) => {
            corrupt(name, format!("its redb file format {version} is not one that this release reads"))
        }
        DatabaseError::Storage(redb::StorageError::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
            corrupt(name, "it ends early")
        }
        DatabaseError::Storage(redb::StorageError::Io(e)) => io_error(name, &e),
        e => match translate(e.into()) {
            Error::Corrupt { reason, .. } => corrupt(name, reason),
            other => other,
        },
    }
}

/// A new store appears under its name complete or not at all: a power cut while redb creates a file is the one
/// moment that can leave one which does not open.
fn create_file(path: &Path, name: &str, options: &Options) -> Result<()> {
    let failed = |e: io::Error| Error::storage(format!("{name} cannot be created: {e}"));
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let file_name = path.file_name().ok_or_else(|| not_a_store(name, "is not a file name"))?;
    let draft = folder.join(format!(".{}.{}.new", file_name.display(), StoreId::new()));
    let made = (|| {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&draft).map_err(failed)?;
        let synced = file.try_clone().map_err(failed)?;
        let db = redb::Builder::new()
            .set_cache_size(options.cache_bytes)
            .create_file(file)
            .map_err(|e| refused(name, e))?;
        initialise(&db)?;
        drop(db);
        synced.sync_all().map_err(failed)?;
        // A link, unlike a rename, never replaces what another process made meanwhile.
        match fs::hard_link(&draft, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && options.mode == Mode::CreateOnly => {
                Err(Error::Exists { what: "store", name: name.to_owned() })
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e)
                if e.kind() == io::ErrorKind::Unsupported || e.kind() == io::ErrorKind::PermissionDenied =>
            {
                fs::rename(&draft, path).map_err(failed)
            }
            other => other.map_err(failed),
        }
    })();
    // Gone already after a rename; after a failure there is nothing to keep.
    let _ = fs::remove_file(&draft);
    made?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)?;
    info!("created");
    Ok(())
}

fn initialise(db: &Database) -> Result<()> {
    let txn = db.begin_write().told()?;
    create_tables(&txn)?;
    let meta = Meta {
        format: FORMAT,
        store: *StoreId::new().bytes(),
        created: Timestamp::now().micros(),
        settled: 0,
        next_branch: 1,
        counts: Counts::default(),
    };
    txn.open_table(META).told()?.insert(META_KEY, meta.encode().as_slice()).told()?;
    txn.commit().told()
}

pub(super) fn read_meta(txn: &ReadTransaction, name: &str) -> Result<Meta> {
    let table = match txn.open_table(META) {
        Ok(table) => table,
        Err(redb::TableError::Storage(e)) => return Err(translate(e.into())),
        Err(_) => return Err(not_a_store(name, "is a redb file of another program")),
    };
    let place = || format!("the meta row of {name}");
    let row = table.get(META_KEY).told()?.ok_or_else(|| corrupt(place(), "it is missing"))?;
    let found = Meta::format(row.value()).map_err(malformed(place()))?;
    if found > FORMAT {
        return Err(Error::NewerFormat { path: name.to_owned(), found, supported: FORMAT });
    }
    Meta::decode(row.value()).map_err(malformed(place()))
}

/// Reads `meta` and the journal, which is all that opening depends on: the rest of the store is not touched.
fn load(db: Db, name: String, options: Options, upgraded: Option<Upgraded>) -> Result<Store> {
    let txn = db.begin_read()?;
    let meta = read_meta(&txn, &name)?;
    let branches = Branches::new();
    let journal = load_journal(&txn, &meta, &branches)?;
    let max_id = {
        let ids = txn.open_table(IDS).told()?;
        ids.last().told()?.map(|(id, _)| EventId::from_bytes(id.value()))
    };
    drop(txn);
    info!(journal = journal.tail.len(), settled = meta.settled, "opened");
    let shared = Arc::new(Shared {
        id: StoreId::from_bytes(meta.store),
        created: Timestamp::from_micros(meta.created),
        format: meta.format,
        upgraded,
        name,
        options,
        db: RwLock::new(Some(Arc::new(db))),
        tail: RwLock::new(journal.tail),
        branches,
        writer: Writer::new(Core::new(journal.next_branch, journal.next_commit, max_id)),
        hook: OnceLock::new(),
    });
    let thread = match shared.read_only() {
        true => None,
        false => {
            let shared = shared.clone();
            let named = std::thread::Builder::new().name("retold-writer".into());
            let thread = named.spawn(move || shared.stand_by());
            Some(thread.map_err(|e| Error::storage(format!("the writer's thread cannot be started: {e}")))?)
        }
    };
    Ok(Store(Arc::new(Handle { shared, thread: Mutex::new(thread) })))
}
