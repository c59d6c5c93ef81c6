//! An engine over another: what it does not say itself is what the one below says.

use std::sync::Arc;

use super::commit::{Commit, Outcome};
use super::identity::Identity;
use super::ownership::StoreOwner;
use super::port::{Admin, Engine, EngineReader, Submitted};
use super::process::Process;
use super::watch::Watcher;
use crate::error::Result;
use crate::event::{EventId, Position};

/// What [`Engine`] asks, passed on to the engine below.
pub(crate) trait EngineLayer: std::fmt::Debug + Send + Sync + 'static {
    fn below(&self) -> &dyn Engine;

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.below().commit(commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        self.below().submit(commit)
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        self.below().reader()
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        self.below().watch(watcher);
    }

    fn close(&self) -> Result<()> {
        self.below().close()
    }
}

impl<L: EngineLayer> Engine for L {
    fn identity(&self) -> &Identity {
        self.below().identity()
    }

    fn opening(&self) -> EventId {
        self.below().opening()
    }

    fn process(&self) -> &Process {
        self.below().process()
    }

    fn committed(&self) -> Position {
        self.below().committed()
    }

    fn commit(&self, commit: Commit) -> Result<Outcome> {
        EngineLayer::commit(self, commit)
    }

    fn submit(&self, commit: Commit) -> Submitted<'_> {
        EngineLayer::submit(self, commit)
    }

    fn reader(&self) -> Result<Arc<dyn EngineReader>> {
        EngineLayer::reader(self)
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        EngineLayer::watch(self, watcher);
    }

    fn admin(&self) -> Option<&dyn Admin> {
        self.below().admin()
    }

    fn owner(&self) -> Result<Option<StoreOwner>> {
        self.below().owner()
    }

    fn close(&self) -> Result<()> {
        EngineLayer::close(self)
    }
}
