//! How the writer tells of a commit, without knowing who listens.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::event::Event;

/// Called on the writer's path, after a commit is readable and before it is acknowledged. Implementations wake
/// others and return; they do not block and do not call the store.
pub(crate) trait CommitHook: Any + Send + Sync + fmt::Debug {
    /// The events of one commit, in global order.
    fn committed(&self, events: &[Event]);

    /// No commit will follow.
    fn closed(&self);

    /// For the owner of the hook, to find itself again.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}
