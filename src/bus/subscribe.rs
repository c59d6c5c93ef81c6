use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::answer::IntoAnswer;
use super::backoff::Retry;
use super::builder::check_time;
use super::bus::Bus;
use super::core::Core;
use super::drive::drive;
use super::handler::Handler;
use super::handler_state::{Asked, HandlerState, Start};
use super::message::Message;
use super::phase::Phase;
use super::route::Route;
use super::stats::HandlerStats;
use crate::consumer::{DeadLetterQueue, Owner};
use crate::error::Result;
use crate::event::{Filter, Position};
use crate::follow::{Cursor, Follow};
use crate::limits::EPHEMERAL_EVENTS;

/// What a handler asks for, before it subscribes with [`run`](Self::run) or [`run_blocking`](Self::run_blocking).
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
#[must_use = "it subscribes when it is told what to run"]
pub struct Subscribe {
    core: Arc<Core>,
    /// What is wrong so far is said when it subscribes.
    route: Result<Route>,
    follow: Follow,
    from_end: bool,
    name: Option<String>,
    priority: i32,
    timeout: Duration,
    retry: Retry,
    once: bool,
    awaited: bool,
}

impl Bus {
    /// Begins a subscription to the types that the glob matches; `**` is every type.
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
            timeout: core.settings.timeout,
            retry: core.settings.retry,
            once: false,
            awaited: false,
            core,
        }
    }

    /// Calls an async function for every event from now on whose type the glob matches. More can be asked for with
    /// [`subscribe`](Self::subscribe).
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

    /// [`on`](Self::on) with a function that blocks; it runs on a thread that may.
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

    /// Also types that this glob matches.
    pub fn or(self, pattern: &str) -> Self {
        self.with(|route| route.pattern(pattern))
    }

    /// But no types that this glob matches.
    pub fn except(self, pattern: &str) -> Self {
        self.with(|route| route.except(pattern))
    }

    /// Narrows further: by source, actor, correlation, priority, metadata or time.
    pub fn filter(self, narrow: impl FnOnce(Filter) -> Filter) -> Self {
        self.with(|route| {
            route.narrow(narrow);
            Ok(())
        })
    }

    /// Only events of which this says `true`. It may be asked more than once for an event, and is to be quick and
    /// without effect; when it panics, the answer is `false`.
    pub fn when(self, question: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.with(|route| {
            route.question(question);
            Ok(())
        })
    }

    /// A name of its own on this bus. Dead letters are kept under it, so a handler whose dead letters are to be sent again
    /// after a restart has one. `handler-1` and so on unless said.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Higher comes first: before a handler is called for an event, those of higher priority have been called for it
    /// once. Equal ones, and all are 0 unless said, run side by side. Nobody waits for one that is late, is trying an
    /// earlier event of that branch again, or is past its time.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long one call may take, from when the handler is entered: waiting for a thread of the runtime does not count.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// How often it is called for one event, and how it rests in between.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// For one event: the first that it takes. Then it is gone.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// [`Bus::publish`] waits for it and brings back what it returns.
    pub fn awaited(mut self) -> Self {
        self.awaited = true;
        self
    }

    /// Begins with the first event of the store.
    pub fn from_start(mut self) -> Self {
        self.follow = self.follow.from_start();
        self.from_end = false;
        self
    }

    /// Begins after this position.
    pub fn after_position(mut self, position: impl Into<Position>) -> Self {
        self.follow = self.follow.after_position(position);
        self.from_end = false;
        self
    }

    /// Begins where a follower of everything stood.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.follow = self.follow.cursor(cursor);
        self.from_end = false;
        self
    }

    /// Subscribes an async function. It is called for one event of a session and branch after the other, for events of
    /// different ones side by side. What it returns is for who awaits it; an error is tried again, then the event is a
    /// dead letter of this handler.
    ///
    /// It starts a task and returns: nothing is read and nothing waits here.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) for a glob, name, time or number that is none;
    /// [`Exists`](crate::Error::Exists) when the name is taken; [`BadCursor`](crate::Error::BadCursor) for a start
    /// that this store does not have; [`Closed`](crate::Error::Closed).
    pub fn run<F, R>(self, handler: impl Fn(Message) -> F + Send + Sync + 'static) -> Result<Subscription>
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoAnswer,
    {
        self.begin(Handler::new(handler))
    }

    /// [`run`](Self::run) with a function that blocks. Past its time it cannot be stopped: its event is a dead letter at
    /// once, and the next event of that branch waits until it has really ended.
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
        check_time(self.timeout)?;
        self.retry.check()?;
        let id = core.number();
        let owner = Owner::handler(self.name.unwrap_or_else(|| format!("handler-{id}")))?;
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
            timeout: self.timeout,
            retry: self.retry,
            once: self.once,
            awaited: self.awaited,
        };
        let reader = core.shared.handle.reader()?;
        let start = Start { scanned: following.scanned(), late: !self.from_end, told, dead_letters, reader };
        let handler_state = Arc::new(HandlerState::new(id, asked, core.shared.clone(), start));
        core.enter(&handler_state)?;
        core.shared.runtime.spawn(drive(core.clone(), handler_state.clone(), following, hears));
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

    /// Takes nothing more and begins nothing more; a call that runs goes on. Awaiting [`gone`](Self::gone) after it
    /// waits for that call. In a forked child it does nothing.
    pub fn unsubscribe(&self) {
        if self.is_here() {
            self.handler_state.go(Phase::Leaving);
        }
    }

    /// Resolves when the handler has gone: unsubscribed, once done, or closed with its bus or store, and no call
    /// runs any more, but one that could not be stopped. In a forked child no handler runs, so it has gone.
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

    /// Its counts and times.
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
