use std::sync::Arc;

use tokio::time::timeout_at;

use super::core::Core;
use super::message::Message;
use super::phase::{Phase, deadline};
use crate::error::Result;
use crate::event::{Filter, Pattern};
use crate::store::Store;

/// Programs react to events: handlers in this process, over one store.
///
/// Clones share it. It ends with its last clone, or with [`close`](Self::close); until then it keeps the store open.
/// Everything that a handler is given comes from the store, in order, by a follower of its own: see
/// `docs/bus.md` for what is promised.
///
/// ```
/// use retold::{Bus, Message, NewEvent, Store};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// let bus = Bus::new(&store)?;
/// let inner = bus.link();
/// bus.on("tool.completed", move |heard: Message| {
///     let bus = inner.clone();
///     // Inside a handler, correlation and causation are those of the event that is handled.
///     async move { bus.publish(&*heard.session().to_string(), NewEvent::new("step.done")).await.map(|_| ()) }
/// })?;
/// let mut steps = bus.listen("step.*")?;
/// bus.publish("run-7", NewEvent::new("tool.completed")).await?;
/// let step = steps.next().await.unwrap()?;
/// assert_eq!((step.kind(), step.causation().is_some()), ("step.done", true));
/// bus.close().await?;
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Bus {
    core: Arc<Core>,
    /// `None` for a link.
    _guard: Option<Arc<Keeps>>,
}

/// What ends with the last clone of a bus.
#[derive(Debug)]
struct Keeps {
    core: Arc<Core>,
    _store: Store,
}

impl Drop for Keeps {
    fn drop(&mut self) {
        if self.core.shared.handle.process().is_this() {
            self.core.drain();
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.core.shared.handle.process().keep(&self.core);
    }
}

/// How a bus was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusClosed {
    /// Events that handlers had taken and that were not ended in the time for it. They are not dead letters.
    pub unfinished: usize,
}

impl Bus {
    /// A bus that ends with the last clone of this.
    pub(super) fn owning(core: Arc<Core>, store: &Store) -> Self {
        let guard = Arc::new(Keeps { core: core.clone(), _store: store.clone() });
        Self { core, _guard: Some(guard) }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The same bus, for those whom it keeps alive itself: a handler that publishes holds a link, or the bus would
    /// never end.
    #[must_use]
    pub fn link(&self) -> Self {
        Self { core: self.core.clone(), _guard: None }
    }

    /// Takes nothing more, writes what was published without waiting, lets handlers end everything that is recorded by
    /// then, and stops them.
    ///
    /// Rests between calls are cut short: such an event is tried once more, and is a dead letter when that fails. What is not
    /// ended within the [limit](super::BusBuilder::drain_limit) is left: its handler begins nothing more. The store
    /// stays open. Closing again does nothing.
    ///
    /// # Errors
    /// [`Error::OtherProcess`](crate::Error::OtherProcess); what else can fail is counted and traced.
    pub async fn close(&self) -> Result<BusClosed> {
        self.core.shared.handle.process().check()?;
        let until = deadline(self.core.settings.drain_limit);
        let handler_states = self.core.roster();
        self.core.drain();
        let _ = timeout_at(until, self.core.nowait.ended()).await;
        for handler_state in &handler_states.handler_states {
            let _ = timeout_at(until, handler_state.reached(Phase::Gone)).await;
        }
        let left =
            handler_states.handler_states.iter().filter(|handler_state| handler_state.phase() != Phase::Gone);
        let unfinished = left.map(|handler_state| handler_state.work().branch_queues.held()).sum();
        for handler_state in &handler_states.handler_states {
            handler_state.go(Phase::Leaving);
        }
        if unfinished > 0 {
            tracing::warn!(unfinished, "the bus was closed before its handlers were done");
        }
        Ok(BusClosed { unfinished })
    }

    /// The last events that went by since the bus was opened, oldest first, at most `limit` of them: of the types that
    /// the glob matches, and of this source, when one is given. They come from memory, and are as many as
    /// [`BusBuilder::history_limit`](super::BusBuilder::history_limit) keeps.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a glob that is none.
    pub fn get_history(&self, pattern: &str, source: Option<&str>, limit: usize) -> Result<Vec<Message>> {
        self.core.shared.handle.process().check()?;
        let mut filter = Filter::new().pattern(Pattern::new(pattern)?);
        if let Some(source) = source {
            filter = filter.source(source);
        }
        let filter = filter.resolved_in(self.core.shared.handle.catalogue());
        Ok(self.core.history.get(&filter, limit))
    }
}
