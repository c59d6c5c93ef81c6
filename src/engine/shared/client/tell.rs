//! What a client knows of what the owner has committed, and who is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Cache;
use crate::engine::branch::Branch;
use crate::engine::on_path::OnPath;
use crate::engine::shared::message::Noticed;
use crate::engine::watch::{Committed, Watcher};
use crate::engine::watching::Watching;
use crate::event::{Place, Position};
use crate::limits::BRANCH_CACHE;

#[derive(Debug)]
pub(super) struct Told {
    committed: AtomicU64,
    branches: Cache<Place, Arc<Branch>>,
    /// How often what is known of branches was forgotten.
    forgotten: AtomicU64,
    watching: Watching,
}

impl Told {
    pub(super) fn new(committed: u64) -> Self {
        let (committed, branches) = (AtomicU64::new(committed), Cache::new(BRANCH_CACHE));
        Self { committed, branches, forgotten: AtomicU64::new(0), watching: Watching::default() }
    }

    pub(super) fn committed(&self) -> Position {
        Position::new(self.committed.load(Ordering::Acquire))
    }

    /// At least this is committed.
    pub(super) fn reaches(&self, position: Position) {
        self.committed.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// A branch that was seen is known until something is committed of which nothing is said.
    pub(super) fn branch(&self, place: &Place) -> Option<Arc<Branch>> {
        self.branches.get(place)
    }

    pub(super) fn keep(&self, branch: &Arc<Branch>) {
        self.branches.insert((*branch.place).clone(), branch.clone());
    }

    /// How often what was known of branches was forgotten: what was asked for before may be of the past.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// The same for what was asked for, if nothing was forgotten since.
    pub(super) fn keep_since(&self, forgotten: u64, branch: &Arc<Branch>) {
        self.keep(branch);
        // Looked at afterwards: whoever forgets comes before this, or empties the cache after it.
        if self.forgotten() != forgotten {
            self.branches.clear();
        }
    }

    /// A branch may have changed.
    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.branches.clear();
    }

    pub(super) fn watch(&self, watcher: &Arc<dyn Watcher>) {
        self.watching.add(watcher);
    }

    pub(super) fn close(&self) {
        let _path = OnPath::enter();
        self.watching.closed();
    }

    /// Passes on what the owner has told.
    pub(super) fn hear(&self, noticed: Noticed) {
        let _path = OnPath::enter();
        match noticed {
            Noticed::Alive | Noticed::Leaving => {}
            Noticed::Unseen(position) => {
                self.forget();
                self.reaches(position);
                self.watching.committed(&Committed::new(&[], &[], &[]));
            }
            Noticed::Other => {
                self.forget();
                self.watching.committed(&Committed::new(&[], &[], &[]));
            }
            Noticed::Committed { position, births, events, changed } => {
                self.reaches(position);
                births.iter().for_each(|branch| self.keep(branch));
                self.watching.committed(&Committed::elsewhere(&births, events, changed));
            }
        }
    }
}
