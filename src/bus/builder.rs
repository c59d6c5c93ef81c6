//! Settings of a bus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bus::Bus;
use super::core::Core;
use super::message::Message;
use super::names::bound_unnamed;
use super::persist::Persistence;
use super::phase::over;
use super::settings::Settings;
use super::timers::TimersRunning;
use super::writing::{self, Writing};
use crate::error::{Error, Result};
use crate::event::{Invalid, Pattern};
use crate::follow::{Follow, Following};
use crate::limits::{MAX_BUS_WORKERS, MAX_HANDLER_LETTERS, MAX_HISTORY, MAX_NOWAIT_EVENTS, MAX_SPILL_BYTES};
use crate::store::{Store, unblocked};
use crate::sync::lock;
use crate::sync::task::Runtime;
use tokio::runtime::Handle;

/// Settings of a [`Bus`]. Every setting has a default.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BusBuilder {
    settings: Settings,
    runtime: Option<Runtime>,
}

impl Bus {
    /// Opens a bus with default settings, on the caller's runtime.
    ///
    /// # Errors
    /// As [`BusBuilder::open`].
    pub fn new(store: &Store) -> Result<Self> {
        Self::builder().open(store)
    }

    /// Starts building a bus with other settings.
    pub fn builder() -> BusBuilder {
        BusBuilder::default()
    }
}

impl BusBuilder {
    /// Handler calls that run concurrently: 64 by default. Every handler has one additional worker of its own, and no
    /// handler takes more than half of the shared ones.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// Events that [`Bus::get_history`] keeps: 1,000 by default; 0 for none.
    pub fn history_limit(mut self, events: usize) -> Self {
        self.settings.history = events;
        self
    }

    /// Dead letters kept per handler: 10,000 by default. When full, a new one replaces the oldest.
    pub fn dead_letters(mut self, dead_letters: usize) -> Self {
        self.settings.dead_letters = dead_letters;
        self
    }

    /// How long one call of a handler may take: 30 seconds by default, a millisecond to a week. This and the next three are
    /// those of handlers that say nothing else.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.delivery.deadline = deadline;
        self
    }

    /// How often an event is delivered to a handler before it becomes a dead letter: 5 by default.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.settings.delivery.max_deliveries = deliveries;
        self
    }

    /// The backoff after an event's first failure, doubled for each further one up to `most`: 100 ms and 30 seconds by
    /// default.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.settings.delivery.backoff, self.settings.delivery.max_backoff) = (first, most);
        self
    }

    /// The fraction of a backoff that may be left out at random, from 0 to 1, so that what failed together is not retried
    /// together: a half by default.
    pub fn jitter(mut self, part: f64) -> Self {
        self.settings.delivery.jitter = part;
        self
    }

    /// How long [`Bus::publish`] waits for awaited handlers: a minute by default. The handlers continue after that.
    pub fn await_limit(mut self, time: Duration) -> Self {
        self.settings.await_limit = time;
        self
    }

    /// How long [`Bus::close`] waits for pending events: 30 seconds by default.
    pub fn drain_limit(mut self, time: Duration) -> Self {
        self.settings.drain_limit = time;
        self
    }

    /// Events that [`Bus::publish_nowait`] queues in memory until they are written: 8,192 by default.
    pub fn nowait_queue(mut self, events: usize) -> Self {
        self.settings.nowait = events;
        self
    }

    /// The file of the [`Spill`](super::spill::Spill): beside the store's file by default. A store in memory has none by
    /// default.
    pub fn spill(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.spill = Some(path.into());
        self
    }

    /// The maximum size of the spill in bytes: 64 MiB by default, at most 1 GiB; 0 for no spill.
    pub fn spill_limit(mut self, bytes: u64) -> Self {
        self.settings.spill_limit = bytes;
        self
    }

    /// Bytes of the disk that are taken for the spill while the bus is open, so that there is room when the disk is full:
    /// 4 MiB by default, or the whole spill if that may be no larger; 0 for none. Linux and Android only.
    pub fn spill_reserve(mut self, bytes: u64) -> Self {
        self.settings.spill_reserve = bytes;
        self
    }

    /// Whether the store's timers fire while the bus is open; `true` by default.
    pub fn timers(mut self, timers: bool) -> Self {
        self.settings.timers = timers;
        self
    }

    /// The persistence of events whose type, as it is published, matches the glob: not of its aliases, so that nothing is
    /// left unrecorded that the rule does not name. The last matching rule counts; without one, the store's default applies.
    ///
    /// # Errors
    /// [`Invalid`] for an invalid glob, and for too many rules.
    pub fn persist(mut self, pattern: &str, persistence: Persistence) -> Result<Self> {
        self.settings.rules.add(Pattern::new(pattern)?, persistence)?;
        Ok(self)
    }

    /// [`persist`](Self::persist) for the aliases of these types too: `task.progress` is also `task_updated`. The aliases
    /// are those of the store's catalogue.
    ///
    /// # Errors
    /// As [`persist`](Self::persist).
    pub fn persist_with_aliases(mut self, pattern: &str, persistence: Persistence) -> Result<Self> {
        self.settings.rules.add_with_aliases(Pattern::new(pattern)?, persistence)?;
        Ok(self)
    }

    /// The runtime on which handlers run, which needs its timer enabled: by default that of the caller of [`open`](Self::open).
    /// Handlers are called as long as somebody runs it: one of a current thread only while something is blocked on there.
    /// When it ends, the bus takes nothing more.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime.into());
        self
    }

    /// Starts the bus.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) for a setting outside its bounds, and without a tokio runtime;
    /// [`Closed`](crate::Error::Closed).
    pub fn open(mut self, store: &Store) -> Result<Bus> {
        let rules = std::mem::take(&mut self.settings.rules);
        self.settings.rules = rules.resolved_in(store.handle().catalogue());
        let s = &self.settings;
        within("workers", s.workers, 1, MAX_BUS_WORKERS)?;
        within("history_limit", s.history, 0, MAX_HISTORY)?;
        within("dead_letters", s.dead_letters, 1, MAX_HANDLER_LETTERS)?;
        within("nowait_queue", s.nowait, 1, MAX_NOWAIT_EVENTS)?;
        if s.spill_limit > MAX_SPILL_BYTES {
            let reason = format!("is {}; it has to be 0 to {MAX_SPILL_BYTES}", s.spill_limit);
            return Err(Invalid::new("spill_limit", reason).into());
        }
        s.delivery.check()?;
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Runtime::current().ok_or_else(|| {
                Invalid::new("runtime", "is missing: open the bus inside a tokio runtime, or pass one")
            })?,
        };
        start(store, runtime, self.settings)
    }
}

fn within(field: &'static str, n: usize, least: usize, most: usize) -> Result<(), Invalid> {
    match (least..=most).contains(&n) {
        true => Ok(()),
        false => Err(Invalid::new(field, format!("is {n}; it has to be {least} to {most}"))),
    }
}

fn start(store: &Store, runtime: Runtime, settings: Settings) -> Result<Bus> {
    store.handle().process().check()?;
    let core = Core::new(store.handle(), runtime, settings);
    let following = match core.history.is_kept() {
        true => Some(core.shared.handle.follow(Follow::all().from_end())?),
        false => None,
    };
    if let Some(following) = following {
        core.history.skip(following.begun());
        core.shared.runtime.spawn(remember(core.clone(), following));
    }
    core.shared.runtime.spawn(writing::drain(Writing::new(core.clone())));
    if !core.shared.handle.read_only() {
        let (handle, keep) = (core.shared.handle.clone(), core.settings.dead_letters);
        core.shared.runtime.spawn_blocking(move || bound_unnamed(&handle, keep));
    }
    if core.settings.timers && !core.shared.handle.read_only() {
        let handle = core.shared.handle.clone();
        let running = core.shared.runtime.inside(|| TimersRunning::start(handle))?;
        *lock(&core.timers) = Some(running);
    }
    Ok(Bus::owning(core, store))
}

/// Keeps the history, as long as the bus and the store are open.
async fn remember(core: Arc<Core>, mut following: Following) {
    let mut phase = core.phase.subscribe();
    loop {
        let item = tokio::select! {
            biased;
            () = over(&mut phase) => return remember_the_rest(core).await,
            item = following.next_event() => item,
        };
        match item {
            Some(Ok(event)) => core.history.add(Message::recorded(event)),
            // Handlers have their own followers.
            Some(Err(Error::Upcast { position, .. })) => core.history.skip(position.get()),
            Some(Err(error)) => {
                tracing::warn!(%error, "the history cannot continue");
                return;
            }
            None => return core.drain(),
        }
    }
}

/// What was published until the bus was closed.
async fn remember_the_rest(core: Arc<Core>) {
    core.nowait.ended().await;
    core.history.published(core.shared.handle.committed().get());
    if let Err(error) = unblocked(move || core.history.catch_up(&core.shared.handle)).await {
        tracing::debug!(%error, "the end of the history was not read");
    }
}
