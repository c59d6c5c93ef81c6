//! The memory engine behind the port.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::reader::{Kept, MemoryReader};
use super::state::State;
use crate::codec::FORMAT;
use crate::engine::backup::Backup;
use crate::engine::clock::Clock;
use crate::engine::commit::{Commit, Outcome};
use crate::engine::compaction::Compaction;
use crate::engine::decide::Plan;
use crate::engine::identity::Identity;
use crate::engine::on_path::OnPath;
use crate::engine::port::{Admin, Engine, EngineReader, OnProgress, Submitted};
use crate::engine::process::Process;
use crate::engine::purged::Purged;
use crate::engine::reaper::Reaper;
use crate::engine::report::{Figures, Report};
use crate::engine::watch::{Committed, Watcher};
use crate::engine::watching::Watching;
use crate::error::{Error, Result};
use crate::event::{EventId, Position, StoreId, Timestamp};
use crate::sync::{Mutex, RwLock};
use crate::sync::{lock, read, write};

/// A store that ends with its process. All commits are equally durable.
#[derive(Debug)]
struct MemoryEngine {
    kept: Arc<Kept>,
    watching: Watching,
    closed: AtomicBool,
    /// Held while a commit is applied and announced, so that commits are announced in order.
    clock: Mutex<Clock>,
}

/// An empty store.
pub(crate) fn open(read_only: bool) -> Arc<dyn Engine> {
    let identity = Identity {
        id: StoreId::new(),
        opening: EventId::new(),
        created: Timestamp::now(),
        format: FORMAT,
        name: "the store in memory".to_owned(),
        path: None,
        read_only,
        upgraded: None,
        damage: Vec::new(),
        lacks: None,
    };
    let reaper = Reaper::new();
    let kept = Kept {
        process: Process::this(),
        identity,
        state: RwLock::new(State::new(reaper.clone())),
        reaper: reaper.clone(),
    };
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine {
        kept: Arc::new(kept),
        watching: Watching::default(),
        closed: AtomicBool::new(false),
        clock: Mutex::default(),
    });
    engine.watch(&(reaper.clone() as Arc<dyn Watcher>));
    reaper.begin(&engine, &[]);
    engine
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        self.kept.process.keep(&self.kept);
    }
}

impl MemoryEngine {
    fn open(&self) -> Result<()> {
        self.kept.process.check()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed { after: None }) } else { Ok(()) }
    }
}

impl Engine for MemoryEngine {
    fn identity(&self) -> &Identity {
        &self.kept.identity
    }

    fn process(&self) -> &Process {
        &self.kept.process
    }

    fn committed(&self) -> Position {
        self.kept.committed()
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.kept.identity.writable()?;
        self.kept.process.check()?;
        let mut clock = lock(&self.clock);
        self.open()?;
        let _path = OnPath::enter();
        let (outcome, new, births, changes) = {
            let mut state = write(&self.kept.state);
            let now = clock.next(Timestamp::now().max(state.recorded()));
            let mut plan = Plan::new(state.committed() + 1, state.next_branch(), now);
            let outcome = plan.take(&commit, &*state)?;
            let new = state.apply(&plan);
            commit.records().iter().for_each(|records| state.write(records));
            (outcome, new, plan.births, plan.changes)
        };
        let records = commit.records();
        if !new.is_empty() || !births.is_empty() || !changes.is_empty() || records.is_some() {
            let commit = Committed::new(&births, &new, records.as_slice());
            self.watching.committed(&commit.with_changes(&changes));
        }
        Ok(outcome)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { self.commit(commit) })
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        self.open()?;
        Ok(Arc::new(MemoryReader(self.kept.clone())))
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        self.watching.add(watcher);
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn close(&self) -> Result<()> {
        self.kept.reaper.end();
        {
            let _last = lock(&self.clock);
            if !self.closed.swap(true, Ordering::AcqRel) {
                self.watching.closed();
            }
        }
        Ok(())
    }
}

impl Admin for MemoryEngine {
    fn flush(&self) -> Result<()> {
        self.kept.identity.writable()?;
        self.open()
    }

    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async { self.flush() })
    }

    /// Nothing can disagree.
    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
        self.open()?;
        let state = read(&self.kept.state);
        let events = state.committed();
        let _ = progress(events, events);
        Ok(Report { branches: state.branch_count(), events, ..Report::default() })
    }

    fn backup(&self, _: &Path, _: Option<&Path>, _: &mut OnProgress<'_>) -> Result<Backup> {
        Err(Error::storage("a store in memory has no file to copy; export its events"))
    }

    fn compact(&self, _: &mut OnProgress<'_>) -> Result<Compaction> {
        Err(Error::storage("a store in memory has no file to compact"))
    }

    fn purge(&self, progress: &mut OnProgress<'_>) -> Result<Purged> {
        self.kept.identity.writable()?;
        self.open()?;
        let (events, bytes) = write(&self.kept.state).purge();
        let _ = progress(events, events);
        Ok(Purged::new(events, bytes))
    }

    fn figures(&self) -> Result<Figures> {
        self.open()?;
        let state: &State = &read(&self.kept.state);
        Ok(Figures {
            sessions: state.session_count(),
            branches: state.branch_count(),
            events: state.committed(),
            in_journal: 0,
            chunks: 0,
            payload_bytes: state.payload_bytes,
            file_bytes: None,
        })
    }
}
