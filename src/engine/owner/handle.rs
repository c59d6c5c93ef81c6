//! One handle on a store that this process shares with others: it closes by itself, and the last one closes the store.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::driver::Driver;
use super::reading::Reading;
use super::remote::Remote;
use super::seats::Inside;
use super::sharing::Sharing;
use crate::engine::backup::Backup;
use crate::engine::commit::{Commit, Outcome};
use crate::engine::compaction::Compaction;
use crate::engine::dead_space::DeadSpace;
use crate::engine::identity::Identity;
use crate::engine::ownership::StoreOwner;
use crate::engine::port::{Admin, Engine, EngineReader, OnProgress, Submitted};
use crate::engine::process::Process;
use crate::engine::purged::Purged;
use crate::engine::report::{Figures, Report};
use crate::engine::watch::{Committed, Watcher};
use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::sync::{Mutex, lock};

/// How this process takes part in the store.
#[derive(Debug)]
pub(crate) enum Part {
    /// It may own the file.
    Owner(Arc<Driver>),
    /// It only reads.
    Reader(Arc<Reading>),
    /// A server has it.
    Remote(Arc<Remote>),
}

impl Part {
    fn sharing(&self) -> &Arc<Sharing> {
        match self {
            Self::Owner(driver) => driver.sharing(),
            Self::Reader(reading) => reading.sharing(),
            Self::Remote(remote) => remote.sharing(),
        }
    }

    fn owner(&self) -> Result<Option<StoreOwner>> {
        match self {
            Self::Owner(driver) => driver.owner().map(Some),
            Self::Reader(reading) => reading.owner(),
            Self::Remote(remote) => remote.owner().map(Some),
        }
    }

    fn close(&self) -> Result<()> {
        match self {
            Self::Owner(driver) => driver.close(),
            Self::Reader(reading) => reading.close(),
            Self::Remote(remote) => remote.close(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Handle {
    part: Part,
    identity: Arc<Identity>,
    /// Whom this handle's engine tells, until the handle is closed.
    own: Mutex<Vec<Arc<dyn Watcher>>>,
    closed: Arc<AtomicBool>,
    closing: Mutex<()>,
}

/// Tells a watcher until its handle is closed, and of that once.
#[derive(Debug)]
struct Own {
    watcher: Weak<dyn Watcher>,
    closed: Arc<AtomicBool>,
    told: AtomicBool,
}

impl Watcher for Own {
    fn committed(&self, commit: &Committed<'_>) {
        if !self.closed.load(Ordering::Acquire)
            && let Some(watcher) = self.watcher.upgrade()
        {
            watcher.committed(commit);
        }
    }

    fn closed(&self) {
        if !self.told.swap(true, Ordering::AcqRel)
            && let Some(watcher) = self.watcher.upgrade()
        {
            watcher.closed();
        }
    }
}

impl Handle {
    /// A handle that has [joined](super::sharing::Sharing::join). What it says of itself is its own.
    pub(crate) fn on(part: Part, identity: Identity) -> Arc<dyn Engine> {
        Arc::new(Self {
            part,
            identity: Arc::new(identity),
            own: Mutex::default(),
            closed: Arc::default(),
            closing: Mutex::default(),
        })
    }

    fn open(&self) -> Result<&Part> {
        self.process().check()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed { after: None });
        }
        if let Part::Owner(driver) = &self.part {
            driver.catch_up();
        }
        Ok(&self.part)
    }

    fn changing(&self) -> Result<&Part> {
        self.identity.writable()?;
        self.open()
    }
}

impl Engine for Handle {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn opening(&self) -> EventId {
        self.part.sharing().opening().unwrap_or(self.identity.opening)
    }

    fn process(&self) -> &Process {
        &self.part.sharing().process
    }

    fn committed(&self) -> Position {
        self.part.sharing().committed()
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.changing()?.sharing().commit(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { self.changing()?.sharing().submit(commit).await })
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        Ok(Arc::new(self.open()?.sharing().reader(self.identity.clone())?))
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        let (watcher, closed) = (Arc::downgrade(watcher), self.closed.clone());
        let own: Arc<dyn Watcher> = Arc::new(Own { watcher, closed, told: AtomicBool::new(false) });
        self.part.sharing().watch(&own);
        lock(&self.own).push(own);
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(self)
    }

    fn owner(&self) -> Result<Option<StoreOwner>> {
        self.open()?.owner()
    }

    fn close(&self) -> Result<()> {
        // A second, concurrent close returns only when the first has.
        let _closing = lock(&self.closing);
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let closed = match self.part.sharing().part() {
            true => self.part.close(),
            false => Ok(()),
        };
        lock(&self.own).iter().for_each(|own| own.closed());
        closed
    }
}

impl Handle {
    /// Done by the owner, and again by the next when it is gone.
    fn administered<T>(&self, mut what: impl FnMut(&dyn Admin, &Inside<'_>) -> Result<T>) -> Result<T> {
        let mut past = None;
        loop {
            let inside = self.open()?.sharing().seats.wait(past)?;
            match what(admin(&inside)?, &inside) {
                Err(e) if self.is_to_be_repeated(&inside, &e) => past = Some(inside.seated.epoch),
                done => return done,
            }
        }
    }

    /// What walks over the whole store ends when its engine is to be left: it would keep the file from whoever comes next, where
    /// it begins again.
    fn walked<T>(
        &self,
        progress: &mut OnProgress<'_>,
        mut walk: impl FnMut(&dyn Admin, &mut OnProgress<'_>) -> Result<T>,
    ) -> Result<T> {
        self.administered(|admin, inside| {
            walk(admin, &mut |done, of| match inside.is_over() {
                true => ControlFlow::Break(()),
                false => progress(done, of),
            })
        })
    }

    /// Whether the error says no more than that the next engine has to do it.
    fn is_to_be_repeated(&self, inside: &Inside<'_>, error: &Error) -> bool {
        match error {
            Error::OwnerLost { .. } => true,
            Error::Closed { .. } | Error::Storage { .. } | Error::Unknown { .. } => {
                !self.closed.load(Ordering::Acquire)
                    && !self.part.sharing().seats.is_closed()
                    && inside.is_over()
            }
            _ => false,
        }
    }
}

/// What looks after the file is the owner's to do.
fn admin<'a>(inside: &'a Inside<'_>) -> Result<&'a dyn Admin> {
    inside.seated.engine.admin().ok_or_else(|| Error::storage("the store has no file to look after"))
}

impl Admin for Handle {
    fn flush(&self) -> Result<()> {
        self.identity.writable()?;
        self.administered(|admin, _| admin.flush())
    }

    fn flush_async(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async {
            let mut past = None;
            loop {
                let inside = self.changing()?.sharing().seats.wait_async(past).await?;
                match admin(&inside)?.flush_async().await {
                    Err(e) if self.is_to_be_repeated(&inside, &e) => past = Some(inside.seated.epoch),
                    done => return done,
                }
            }
        })
    }

    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<Report> {
        self.walked(progress, |admin, progress| admin.verify(progress))
    }

    fn backup(&self, to: &Path, since: Option<&Path>, progress: &mut OnProgress<'_>) -> Result<Backup> {
        self.walked(progress, |admin, progress| admin.backup(to, since, progress))
    }

    fn compact(&self, progress: &mut OnProgress<'_>) -> Result<Compaction> {
        self.identity.writable()?;
        self.walked(progress, |admin, progress| admin.compact(progress))
    }

    /// It goes on with whoever comes next.
    fn purge(&self, progress: &mut OnProgress<'_>) -> Result<Purged> {
        self.identity.writable()?;
        self.administered(|admin, inside| {
            admin.purge(&mut |done, of| match inside.is_over() {
                true => ControlFlow::Break(()),
                false => progress(done, of),
            })
        })
    }

    fn figures(&self) -> Result<Figures> {
        self.administered(|admin, _| admin.figures())
    }

    fn dead_space(&self) -> Result<Option<DeadSpace>> {
        self.administered(|admin, _| admin.dead_space())
    }
}
