//! Another handle on an open engine, as another process has one: it closes by itself, and ends with the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::commit::{Commit, Outcome};
use super::layer::EngineLayer;
use super::port::{Engine, EngineReader, Submitted};
use super::watch::{Committed, Watcher};
use crate::error::{Error, Result};

/// Another handle on this engine.
pub(crate) fn beside(engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
    Arc::new(Beside { engine, own: OnceLock::new(), closed: Arc::default() })
}

#[derive(Debug)]
struct Beside {
    engine: Arc<dyn Engine>,
    own: OnceLock<Arc<dyn Watcher>>,
    closed: Arc<AtomicBool>,
}

/// Tells a watcher until its handle is closed, and of that once.
#[derive(Debug)]
struct Own {
    watcher: Weak<dyn Watcher>,
    closed: Arc<AtomicBool>,
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
        if !self.closed.swap(true, Ordering::AcqRel)
            && let Some(watcher) = self.watcher.upgrade()
        {
            watcher.closed();
        }
    }
}

impl Beside {
    fn open(&self) -> Result<&dyn Engine> {
        self.process().check()?;
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed { after: None })
        } else {
            Ok(&*self.engine)
        }
    }
}

impl EngineLayer for Beside {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.open()?.commit(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        Box::pin(async move { self.open()?.submit(commit).await })
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        self.open()?.reader()
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        let own: Arc<dyn Watcher> =
            Arc::new(Own { watcher: Arc::downgrade(watcher), closed: self.closed.clone() });
        if self.own.set(own.clone()).is_ok() {
            self.engine.watch(&own);
        }
    }

    fn close(&self) -> Result<()> {
        match self.own.get() {
            Some(own) => own.closed(),
            None => self.closed.store(true, Ordering::Release),
        }
        Ok(())
    }
}
