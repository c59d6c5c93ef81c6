//! Being told of commits.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use super::branch::Branch;
use crate::event::Event;

/// Who is told of what an engine commits. It is told on the writer's path: it wakes others and returns, takes no lock that
/// is held for long, and does not call the engine.
pub(crate) trait Watcher: fmt::Debug + Send + Sync {
    /// Something was committed. It is readable, and not yet acknowledged.
    fn committed(&self, commit: &Committed<'_>);

    /// No commit will follow.
    fn closed(&self);
}

/// The events of one commit, for those who ask for them.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    births: &'a [Arc<Branch>],
    new: &'a [(u64, Event)],
    events: OnceCell<Vec<Event>>,
}

impl<'a> Committed<'a> {
    /// The branches that began, and the events in global order, each with the number of its branch.
    pub(crate) fn new(births: &'a [Arc<Branch>], new: &'a [(u64, Event)]) -> Self {
        Self { births, new, events: OnceCell::new() }
    }

    /// Branches that began.
    pub(crate) fn births(&self) -> &[Arc<Branch>] {
        self.births
    }

    /// In global order; none where a branch began without any.
    pub(crate) fn events(&self) -> &[Event] {
        self.events.get_or_init(|| self.new.iter().map(|(_, event)| event.clone()).collect())
    }
}
