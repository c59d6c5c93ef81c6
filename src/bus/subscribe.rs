use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::answer::IntoAnswer;
use super::bus::Bus;
use super::core::Core;
use super::drive::{Lifetime, drive};
use super::handler::Handler;
use super::handler_state::{Asked, HandlerState, Start};
use super::message::Message;
use super::names::TakenName;
use super::phase::Phase;
use super::route::Route;
use super::stats::HandlerStats;
use crate::delivery::{DeadLetterQueue, DeliverySettings};
use crate::error::Result;
use crate::event::{Filter, Position};
use crate::follow::{Cursor, Follow};
use crate::limits::EPHEMERAL_EVENTS;

/// The settings of a handler, which subscribes with [`run`](Self::run) or [`run_blocking`](Self::run_blocking).
///
/// ```
/// # use retold::{Bus, Message, NewEvent, Store};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// let bus = Bus::new(&store)?;
/// let audit = bus
///     .subscribe("tool.**")
///     .except("tool.progress")
///     .named("audit")
///     .priority(10)
///     .awaited()
///     .run(|message: Message| async move { serde_json::json!(message.kind()) })?;
/// let published = bus.publish("run-7", NewEvent::new("tool.invoked")).await?;
/// assert_eq!(published.answer("audit"), Some(&serde_json::json!("tool.invoked")));
/// audit.unsubscribe();
/// # bus.close().await?;
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is subscribed until `run` is called"]
pub struct Subscribe {
    core: Arc<Core>,
    /// The first mistake so far, reported when it subscribes.
    route: Result<Route>,
    follow: Follow,
    from_end: bool,
    name: Option<String>,
    priority: i32,
    delivery: DeliverySettings,
    once: bool,
    awaited: bool,
}

impl Bus {
    /// Builds a subscription to the types that match the glob; `**` matches every type.
    pub fn subscribe(&self, pattern: &str) -> Subscribe {
        let core = self.core().clone();
        let mut route = Route::default();
        let added = route.pattern(pattern);
        Subscribe {
            route: added.map(|()| route),
            follow: Follow::all().from_end(),
            from_end: true,
            name: None,
            priority: 0,
            delivery: core.settings.delivery,
            once: false,
            awaited: false,
            core,
        }
    }

    /// Calls an async function for every event from now on whose type matches the glob.
    /// [`subscribe`](Self::subscribe) has more options.
    ///
    /// # Errors
    /// As [`Subscribe::run`].
    pub fn on<F, R>(
        &self,
        pattern: &str,
        handler: impl Fn(Message) -> F + Send + Sync + 'static,
    ) -> Result<Subscription>
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoAnswer,
    {
        self.subscribe(pattern).run(handler)
    }

    /// [`on`](Self::on) with a blocking function, which runs on a blocking thread.
    ///
    /// # Errors
    /// As [`Subscribe::run`].
    pub fn on_blocking<R: IntoAnswer>(
        &self,
        pattern: &str,
        handler: impl Fn(Message) -> R + Send + Sync + 'static,
    ) -> Result<Subscription> {
        self.subscribe(pattern).run_blocking(handler)
    }
}

impl Subscribe {
    fn with(mut self, change: impl FnOnce(&mut Route) -> Result<()>) -> Self {
        self.route = self.route.and_then(|mut route| change(&mut route).map(|()| route));
        self
    }

    /// Also includes types that match this glob.
    pub fn or(self, pattern: &str) -> Self {
        self.with(|route| route.pattern(pattern))
    }

    /// Excludes types that match this glob.
    pub fn except(self, pattern: &str) -> Self {
        self.with(|route| route.except(pattern))
    }

    /// Narrows further: by source, actor, correlation, priority, metadata, time or payload.
    pub fn filter(self, narrow: impl FnOnce(Filter) -> Filter) -> Self {
        self.with(|route| {
            route.narrow(narrow);
            Ok(())
        })
    }

    /// Only events for which this predicate returns `true`. It may be called more than once for an event, and should
    /// be fast and free of side effects; a panic counts as `false`.
    pub fn when(self, question: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.with(|route| {
            route.question(question);
            Ok(())
        })
    }

    /// Its name, which one handler has at a time, on all buses of the store. Dead letters are kept under it, so a handler
    /// needs one for its dead letters to be replayed after a restart. Without it, a handler is called `unnamed-…`, by a
    /// name that no handler has again: its dead letters can be listed and discarded, and after it has gone nobody gets
    /// them.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Higher comes first: before a handler is called for an event, those of higher priority have been called for it
    /// once. Handlers of equal priority, 0 by default, run concurrently. A handler that lags, retries an earlier event
    /// of that branch, or has exceeded its deadline is not waited for.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long one call may take, a millisecond to a week, from when the handler is entered: waiting for a thread of the
    /// runtime does not count.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.delivery.deadline = deadline;
        self
    }

    /// How often an event is delivered to it before it becomes a dead letter.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.delivery.max_deliveries = deliveries;
        self
    }

    /// The backoff after an event's first failure, doubled for each further one up to `most`.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.delivery.backoff, self.delivery.max_backoff) = (first, most);
        self
    }

    /// The fraction of a backoff that may be left out at random, from 0 to 1.
    pub fn jitter(mut self, part: f64) -> Self {
        self.delivery.jitter = part;
        self
    }

    /// Handles one event, the first that matches, and then ends.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Makes [`Bus::publish`] wait for it and return its result.
    pub fn awaited(mut self) -> Self {
        self.awaited = true;
        self
    }

    /// Starts with the first event of the store.
    pub fn from_start(mut self) -> Self {
        self.follow = self.follow.from_start();
        self.from_end = false;
        self
    }

    /// Starts after this position.
    pub fn after_position(mut self, position: impl Into<Position>) -> Self {
        self.follow = self.follow.after_position(position);
        self.from_end = false;
        self
    }

    /// Starts at the cursor of a follower of everything.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.follow = self.follow.cursor(cursor);
        self.from_end = false;
        self
    }

    /// Subscribes an async function. It is called for the events of a branch one after the other, and for those of
    /// different branches concurrently. Its result goes to awaiting publishers; after an error the event is delivered
    /// again, and in the end the event becomes a dead letter of this handler.
    ///
    /// It starts a task and returns: nothing is read and nothing waits here.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) for an invalid glob, name, deadline or number;
    /// [`Exists`](crate::Error::Exists) if a handler of a bus on this store has the name, also one that has been told to
    /// end and is not [`gone`](Subscription::gone); [`BadCursor`](crate::Error::BadCursor) for a start
    /// beyond the end of the store; [`Closed`](crate::Error::Closed).
    pub fn run<F, R>(self, handler: impl Fn(Message) -> F + Send + Sync + 'static) -> Result<Subscription>
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoAnswer,
    {
        self.begin(Handler::new(handler))
    }

    /// [`run`](Self::run) with a blocking function. When it times out it cannot be stopped: its event becomes a dead
    /// letter at once, and the next event of that branch waits until it has really ended.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_blocking<R: IntoAnswer>(
        self,
        handler: impl Fn(Message) -> R + Send + Sync + 'static,
    ) -> Result<Subscription> {
        self.begin(Handler::blocking(handler))
    }

    fn begin(self, handler: Handler) -> Result<Subscription> {
        let core = self.core;
        core.open()?;
        let route = self.route?.resolved_in(core.shared.handle.catalogue());
        self.delivery.check()?;
        let id = core.number();
        let (taken_name, owner) = TakenName::take(&core.shared.handle, self.name)?;
        let name = owner.name().into();
        let dead_letters =
            DeadLetterQueue::uncounted(&core.shared.handle, owner, core.settings.dead_letters)?;
        let following = core.shared.handle.follow(self.follow.filter(route.filter()))?;
        let (told, hears) = mpsc::channel(EPHEMERAL_EVENTS);
        let asked = Asked {
            name,
            route,
            handler,
            priority: self.priority,
            delivery: self.delivery,
            once: self.once,
            awaited: self.awaited,
        };
        let reader = core.shared.handle.reader()?;
        let start = Start { scanned: following.scanned(), late: !self.from_end, told, dead_letters, reader };
        let handler_state = Arc::new(HandlerState::new(id, asked, core.shared.clone(), start));
        core.enter(&handler_state)?;
        let lifetime = Lifetime::new(core.clone(), handler_state.clone(), taken_name);
        core.shared.runtime.spawn(drive(lifetime, following, hears));
        // On a runtime that ends at this moment it has gone already.
        core.open()?;
        Ok(Subscription { handler_state })
    }
}

/// A subscribed handler. Dropping this changes nothing; see [`unsubscribe`](Self::unsubscribe) and
/// [`guard`](Self::guard).
#[derive(Clone, Debug)]
pub struct Subscription {
    handler_state: Arc<HandlerState>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.handler_state.shared.handle.process().keep(&self.handler_state);
    }
}

impl Subscription {
    fn is_here(&self) -> bool {
        self.handler_state.shared.handle.process().is_this()
    }

    /// The handler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.handler_state.asked.name
    }

    /// Takes and starts nothing more; a running call continues. Await [`gone`](Self::gone) to wait for that call. In
    /// a forked child it does nothing.
    pub fn unsubscribe(&self) {
        if self.is_here() {
            self.handler_state.go(Phase::Leaving);
        }
    }

    /// Resolves when the handler is gone: it was unsubscribed, has had its one event, or its bus or store was closed,
    /// and no call is running except one that could not be stopped. In a forked child no handler runs, so it is gone.
    pub async fn gone(&self) {
        if self.is_here() {
            self.handler_state.reached(Phase::Gone).await;
        }
    }

    /// Whether it takes events.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.is_here() && self.handler_state.phase() == Phase::Running
    }

    /// Its counters and durations.
    #[must_use]
    pub fn stats(&self) -> HandlerStats {
        HandlerStats::of(&self.handler_state)
    }

    /// Unsubscribes when it is dropped.
    pub fn guard(self) -> SubscriptionGuard {
        SubscriptionGuard(self)
    }
}

/// A subscribed handler that is unsubscribed when this is dropped.
#[derive(Debug)]
#[must_use = "the handler is unsubscribed when this is dropped"]
pub struct SubscriptionGuard(Subscription);

impl std::ops::Deref for SubscriptionGuard {
    type Target = Subscription;
    fn deref(&self) -> &Subscription {
        &self.0
    }
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        self.0.unsubscribe();
    }
}
