//! The file engine behind the port.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use tracing::warn;

use super::backup::{backup, backup_since};
use super::compact::compact;
use super::contents::Contents;
use super::dead_space::dead_space;
use super::figures::figures;
use super::flush::flusher::{Flusher, flush_in_turn};
use super::open::start::{Loaded, Medium, load};
use super::options::Options;
use super::purge::purge;
use super::read::file_reader::FileReader;
use super::redb_errors::guarded;
use super::verify::verify;
use super::write::commit::Committer;
use super::write::work::{Done, Work};
use super::write::writer::Writer;
use crate::engine::backup::Backup;
use crate::engine::commit::{Commit, Outcome};
use crate::engine::compaction::Compaction;
use crate::engine::dead_space::DeadSpace;
use crate::engine::identity::Identity;
use crate::engine::moving::Moving;
use crate::engine::port::{Admin, Engine, EngineReader, OnProgress, Submitted};
use crate::engine::process::Process;
use crate::engine::purged::Purged;
use crate::engine::report::{Figures, Report};
use crate::engine::watch::Watcher;
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::limits::REAPED_BRANCHES;
use crate::sync::Mutex;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{lock, try_lock};

#[derive(Debug)]
pub(crate) struct FileEngine {
    pub(crate) contents: Arc<Contents>,
    pub(crate) writer: Writer,
    pub(crate) flusher: Arc<Flusher>,
    pub(crate) watching: Arc<Watching>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) closing: Mutex<()>,
    compacting: Mutex<()>,
    moving: Mutex<Option<Weak<dyn Moving>>>,
}

/// Opens a file, or a storage that the caller supplies, and starts its threads.
pub(crate) fn open(medium: Medium, options: Options) -> Result<Arc<FileEngine>> {
    let Loaded { contents, ring, journal, next_branch, has_expiry } = load(medium, options)?;
    let (flusher, watching) = (Arc::<Flusher>::default(), Arc::<Watching>::default());
    let committer =
        Committer::new(contents.clone(), (ring, journal), flusher.clone(), watching.clone(), next_branch);
    let writer = Writer::new(contents.clone(), committer);
    let engine = Arc::new(FileEngine {
        contents,
        writer,
        flusher,
        watching,
        threads: Mutex::default(),
        closing: Mutex::default(),
        compacting: Mutex::default(),
        moving: Mutex::default(),
    });
    if engine.contents.read_only() {
        return Ok(engine);
    }
    let writer = thread("retold-writer", &engine, |engine| engine.writer.stand_by())?;
    lock(&engine.threads).push(writer);
    match thread("retold-flusher", &engine, |engine| flush_in_turn(&engine.flusher, &engine.contents)) {
        Ok(flusher) => lock(&engine.threads).push(flusher),
        Err(e) => {
            engine.writer.stop_taking();
            engine.writer.dismiss_thread();
            return Err(e);
        }
    }
    reap(&engine, has_expiry);
    Ok(engine)
}

/// From here on, branches that expire are deleted; those that have expired meanwhile are.
fn reap(engine: &Arc<FileEngine>, has_expiry: bool) {
    let reaper = &engine.contents.reaper;
    engine.watching.add(&(reaper.clone() as Arc<dyn Watcher>));
    let found = engine.file_reader().and_then(|reader| guarded(|| reader.expiring(has_expiry)));
    let found = found.unwrap_or_else(|e| {
        warn!(error = %e, "what expires cannot be found; it stays until the store is opened again");
        Vec::new()
    });
    reaper.begin(&(engine.clone() as Arc<dyn Engine>), &found);
}

fn thread(name: &str, engine: &Arc<FileEngine>, life: fn(&FileEngine)) -> Result<JoinHandle<()>> {
    let engine = engine.clone();
    let spawned = thread::Builder::new().name(name.into()).spawn(move || life(&engine));
    spawned.map_err(|e| Error::storage(format!("the thread {name} cannot be started: {e}")))
}

impl FileEngine {
    pub(crate) fn file_reader(&self) -> Result<FileReader> {
        Ok(FileReader { contents: self.contents.clone(), db: self.contents.db()? })
    }

    /// Lets another file take the store's name, and tells of it.
    fn moves(&self, new: &Path, rename: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let moving = lock(&self.moving).as_ref().and_then(Weak::upgrade);
        match moving {
            Some(moving) => moving.moves(new, rename),
            None => rename(),
        }
    }
}

impl Engine for FileEngine {
    fn identity(&self) -> &Identity {
        &self.contents.identity
    }

    fn process(&self) -> &Process {
        &self.contents.process
    }

    fn committed(&self) -> Position {
        self.contents.committed()
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.contents.writable()?;
        self.writer.write(Work::Commit(commit)).and_then(outcome)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move {
            self.contents.writable()?;
            self.writer.write_async(Work::Commit(commit)).await.and_then(outcome)
        })
    }

    fn tells_of_answers(&self) -> bool {
        true
    }

    fn take_lead(&self) -> bool {
        self.writer.take_lead()
    }

    fn lead(&self) {
        self.writer.lead_one();
    }

    fn pass_lead(&self) {
        self.writer.pass_lead();
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        Ok(Arc::new(self.file_reader()?))
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        self.watching.add(watcher);
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn close(&self) -> Result<()> {
        // A second, concurrent close returns only when the file is free.
        let _closing = lock(&self.closing);
        for uses in self.contents.reaper.end().chunks(REAPED_BRANCHES) {
            // What is not written is forgotten, as after a crash.
            if self.commit(Commit::Change(uses.to_vec())).is_err() {
                break;
            }
        }
        if !self.writer.stop_taking() {
            return Ok(());
        }
        let outcome = match self.contents.read_only() {
            true => Ok(()),
            false => self.writer.flush_last(),
        };
        // In this order: whoever still got the file has registered with the watcher, and is notified below.
        let db = self.contents.close();
        if let (Some(db), Err(_)) = (&db, &outcome) {
            db.abandon();
        }
        self.watching.closed();
        self.writer.dismiss_thread();
        self.flusher.dismiss();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // Through an observer, the writer's own thread may briefly hold the last handle of a store.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        drop(db);
        outcome
    }
}

fn outcome(done: Done) -> Result<Outcome> {
    match done {
        Done::Committed(outcome) => Ok(outcome),
        Done::Flushed => Err(Error::storage("a commit was answered as a flush is")),
    }
}

impl Admin for FileEngine {
    fn flush(&self) -> Result<()> {
        self.contents.writable()?;
        self.writer.write(Work::Flush).map(|_| ())
    }

    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async {
            self.contents.writable()?;
            self.writer.write_async(Work::Flush).await.map(|_| ())
        })
    }

    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
        verify(&self.file_reader()?, &self.writer, progress)
    }

    fn backup(&self, to: &Path, since: Option<&Path>, progress: &mut OnProgress<'_>) -> Result<Backup> {
        if !self.contents.read_only() {
            // What is acknowledged by now is in the tables then.
            self.flush()?;
        }
        let db = self.contents.db()?;
        guarded(|| match since {
            None => backup(&self.contents, &db, to, progress),
            Some(since) => backup_since(&self.contents, &db, (since, to), progress),
        })
    }

    fn compact(&self, progress: &mut OnProgress<'_>) -> Result<Compaction> {
        self.contents.writable()?;
        let Some(_alone) = try_lock(&self.compacting) else {
            let name = &self.contents.identity.name;
            return Err(Error::storage(format!("{name} is being compacted already; wait for that to end")));
        };
        guarded(|| compact(&self.contents, &self.writer, &|new, rename| self.moves(new, rename), progress))
    }

    fn tell_of_moves(&self, moving: &Arc<dyn Moving>) {
        *lock(&self.moving) = Some(Arc::downgrade(moving));
    }

    fn purge(&self, progress: &mut OnProgress<'_>) -> Result<Purged> {
        self.contents.writable()?;
        if !self.contents.has_changes() {
            return Ok(Purged::default());
        }
        // What was deleted or truncated by now is in the tables then.
        self.flush()?;
        purge(&self.file_reader()?, &self.writer, progress)
    }

    fn figures(&self) -> Result<Figures> {
        let file_bytes = fs::metadata(&self.contents.identity.name).ok().map(|meta| meta.len());
        figures(&self.file_reader()?, file_bytes)
    }

    fn dead_space(&self) -> Result<Option<DeadSpace>> {
        // What lies in memory has no file to make smaller.
        if self.contents.identity.path.is_none() {
            return Ok(None);
        }
        dead_space(&self.file_reader()?)
    }
}
