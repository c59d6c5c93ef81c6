use std::sync::Arc;

use super::core::Core;
use super::message::Message;
use super::phase::{Phase, deadline};
use super::wait_for::WaitFor;
use crate::error::{Error, Result};
use crate::event::{Filter, Pattern};
use crate::store::Store;
use crate::sync::time::timeout_at;

/// Calls handlers in this process for the events of one store.
///
/// Clones share it. It ends with its last clone, or with [`close`](Self::close); until then it keeps the store
/// open. Everything that a handler gets comes from the store, in order, through its own follower;
/// `docs/bus.md` describes the guarantees.
///
/// ```
/// use retold::{Bus, Message, NewEvent, Store};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// let bus = Bus::new(&store)?;
/// let inner = bus.link();
/// bus.on("tool.completed", move |message: Message| {
///     let bus = inner.clone();
///     // On the branch of the handled event, from which correlation and causation are taken too.
///     async move { bus.publish(message.place(), NewEvent::new("step.done")).await.map(|_| ()) }
/// })?;
/// let mut steps = bus.listen("step.*")?;
/// bus.publish("run-7", NewEvent::new("run.started")).await?;
/// store.fork("run-7", "retry")?;
/// bus.publish("run-7/retry", NewEvent::new("tool.completed")).await?;
/// let step = steps.next().await.unwrap()?;
/// assert_eq!((step.kind(), step.branch().as_str()), ("step.done", "retry"));
/// assert!(step.causation().is_some());
/// bus.close().await?;
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Bus {
    core: Arc<Core>,
    waits_for: WaitFor,
    /// `None` for a link.
    guard: Option<Arc<Keeps>>,
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

/// The result of closing a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusClosed {
    /// Events that handlers had taken and did not finish within the limit. They are not dead letters.
    pub unfinished: usize,
}

impl Bus {
    /// A bus that ends with the last clone of this.
    pub(super) fn owning(core: Arc<Core>, store: &Store) -> Self {
        let guard = Arc::new(Keeps { core: core.clone(), _store: store.clone() });
        Self { core, waits_for: WaitFor::default(), guard: Some(guard) }
    }

    pub(super) fn waits_for(&self) -> WaitFor {
        self.waits_for
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// A link to the bus that does not keep it alive: a handler that publishes holds a link, or the bus would never
    /// end.
    #[must_use]
    pub fn link(&self) -> Self {
        Self { core: self.core.clone(), waits_for: self.waits_for, guard: None }
    }

    /// The same bus, where [`publish`](Self::publish) waits for these handlers and returns their results; links and
    /// emitters that are made from it wait for them too.
    ///
    /// ```
    /// # use retold::{Bus, Message, NewEvent, Store};
    /// use retold::bus::WaitFor;
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let bus = Bus::new(&Store::in_memory()?)?;
    /// bus.subscribe("run.*").named("log").run(|_: Message| async {})?;
    /// assert!(bus.publish("run-7", NewEvent::new("run.started")).await?.answers.is_empty());
    /// let all = bus.waiting_for(WaitFor::All);
    /// let published = all.publish("run-7", NewEvent::new("run.ended")).await?;
    /// assert_eq!(&*published.answers[0].handler, "log");
    /// # bus.close().await?;
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn waiting_for(&self, handlers: WaitFor) -> Self {
        Self { core: self.core.clone(), waits_for: handlers, guard: self.guard.clone() }
    }

    /// Accepts nothing more, writes what was published without waiting, lets handlers finish everything recorded by
    /// then, and stops them.
    ///
    /// Backoff pauses are cut short: such an event is tried once more, and becomes a dead letter if that fails. What is
    /// not finished within the [limit](super::BusBuilder::drain_limit) is abandoned: its handler starts nothing more.
    /// The store stays open. Closing again does nothing.
    ///
    /// # Errors
    /// [`Error::OtherProcess`](crate::Error::OtherProcess); other failures are counted and logged.
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
        let unfinished = left.map(|handler_state| handler_state.work().machine.held()).sum();
        for handler_state in &handler_states.handler_states {
            handler_state.go(Phase::Leaving);
        }
        if unfinished > 0 {
            tracing::warn!(unfinished, "the bus was closed before its handlers were done");
        }
        Ok(BusClosed { unfinished })
    }

    /// The latest events since the bus was opened, oldest first, at most `limit` of them, whose type matches the glob
    /// and, if given, with this source. They come from memory, which holds as many as
    /// [`BusBuilder::history_limit`](super::BusBuilder::history_limit) says. Whatever [`publish`](Self::publish) has
    /// returned is among them: if it has not arrived in memory yet, it is read from the store, as long as that is open.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an invalid glob; those of reading.
    pub fn get_history(&self, pattern: &str, source: Option<&str>, limit: usize) -> Result<Vec<Message>> {
        self.core.shared.handle.process().check()?;
        let mut filter = Filter::new().pattern(Pattern::new(pattern)?);
        if let Some(source) = source {
            filter = filter.source(source);
        }
        let filter = filter.resolved_in(self.core.shared.handle.catalogue());
        match self.core.history.catch_up(&self.core.shared.handle) {
            Ok(()) | Err(Error::Closed { .. }) => Ok(self.core.history.get(&filter, limit)),
            Err(e) => Err(e),
        }
    }
}
