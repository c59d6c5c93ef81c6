//! Notification of commits.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use super::branch::Branch;
use super::handle_id::HandleId;
use super::sidecar::{SidecarTables, SidecarWrites};
use crate::event::Event;

/// Who is told of what an engine commits. It is told on the writer's path: it wakes others and returns, takes no lock that
/// is held for long, and does not call the engine.
///
/// What it is told are hints. Commits may be left out, those of other processes for example, when it is told afterwards
/// that there were some: [unseen](Committed::is_unseen) ones. A later commit that is told before that hides none of them.
pub(crate) trait Watcher: fmt::Debug + Send + Sync {
    /// Something was committed. It is readable, but not acknowledged yet.
    fn committed(&self, commit: &Committed<'_>);

    /// Those who waited for what was committed have their answers. Not every engine
    /// [tells](super::port::Engine::tells_of_answers) of this.
    fn answered(&self) {}

    /// The storage has failed: every commit from here on is refused, until it is opened again. Told at once to one who comes
    /// later; it may be told twice.
    fn failed(&self) {}

    /// No commit will follow.
    fn closed(&self);
}

/// What was committed at once.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    births: &'a [Arc<Branch>],
    changes: &'a [Arc<Branch>],
    new: &'a [(u64, Event)],
    changed: Vec<Changed>,
    events: OnceCell<Vec<Event>>,
}

/// Tables in which a handle has changed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) by: HandleId,
    pub(crate) tables: SidecarTables,
}

impl<'a> Committed<'a> {
    /// The branches that began, the events in global order, each with the number of its branch, and the records.
    pub(crate) fn new(
        births: &'a [Arc<Branch>],
        new: &'a [(u64, Event)],
        records: &'a [&'a SidecarWrites],
    ) -> Self {
        let changed = records.iter().map(|records| Changed { by: records.by(), tables: records.tables() });
        Self { births, changes: &[], new, changed: changed.collect(), events: OnceCell::new() }
    }

    /// The same with branches of before that were closed or otherwise changed.
    pub(crate) fn with_changes(self, changes: &'a [Arc<Branch>]) -> Self {
        Self { changes, ..self }
    }

    /// What another process has committed.
    #[cfg(unix)]
    pub(crate) fn elsewhere(births: &'a [Arc<Branch>], events: Vec<Event>, changed: Vec<Changed>) -> Self {
        Self { births, changes: &[], new: &[], changed, events: OnceCell::from(events) }
    }

    fn has_events(&self) -> bool {
        !self.new.is_empty() || self.events.get().is_some_and(|events| !events.is_empty())
    }

    /// Something was committed, and nothing is said of it: it may be of any branch, and records of any table may have
    /// changed.
    pub(crate) fn is_unseen(&self) -> bool {
        self.births.is_empty() && self.changes.is_empty() && !self.has_events() && self.changed.is_empty()
    }

    /// Branches that began.
    pub(crate) fn births(&self) -> &[Arc<Branch>] {
        self.births
    }

    /// Branches of before that were closed or otherwise changed, as they are now.
    pub(crate) fn changes(&self) -> &[Arc<Branch>] {
        self.changes
    }

    /// In global order; none when the commit only creates a branch.
    pub(crate) fn events(&self) -> &[Event] {
        self.events.get_or_init(|| self.new.iter().map(|(_, event)| event.clone()).collect())
    }

    /// Numbers of the branches of its events, of what this process has committed.
    pub(crate) fn own(&self) -> impl Iterator<Item = u64> {
        self.new.iter().map(|(branch, _)| *branch)
    }

    /// Whether there is more than records, or may be.
    pub(crate) fn is_of_branches(&self) -> bool {
        !self.births.is_empty() || !self.changes.is_empty() || self.has_events() || self.is_unseen()
    }

    /// The tables in which another handle than this one has changed records, or may have.
    pub(crate) fn changed_beside(&self, own: HandleId) -> SidecarTables {
        if self.is_unseen() {
            return SidecarTables::all();
        }
        let others = self.changed.iter().filter(|changed| changed.by != own);
        others.fold(SidecarTables::default(), |all, changed| all.and(changed.tables))
    }

    /// Who changed records, and of which tables.
    #[cfg(unix)]
    pub(crate) fn changed(&self) -> &[Changed] {
        &self.changed
    }
}
