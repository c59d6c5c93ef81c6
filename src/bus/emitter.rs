use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::PoisonError;

use super::answer::IntoAnswer;
use super::bus::Bus;
use super::message::Message;
use super::nowait::{publish_nowait, refused};
use super::overflow::{Origin, behind_the_spill, is_spilling, set_aside};
use super::persist::Persistence;
use super::publish::{branch_of, publish};
use super::queue::Unwritten;
use super::subscribe::{Subscribe, Subscription};
use crate::error::{Error, Result};
use crate::event::{Address, NewEvent, Payload, Place};
use crate::store::Receipt;
use crate::sync::{Mutex, lock};

/// Emits the events of one component, with the fields they have in common. Emitting never fails the component:
/// whatever happens to the store, it learns what happened to its event and continues.
///
/// Its subscriptions end when it is dropped. They are not shared with its clones, so a handler may hold a clone and emit
/// through it. It does not keep the bus running.
///
/// ```
/// # use retold::{Bus, NewEvent, Store};
/// use retold::event::payload::tool::ToolInvoked;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// let bus = Bus::new(&store)?;
/// let emitter = bus.emitter("runner", "run-7")?.actor("agent-3").meta("host", "a1");
/// let called = ToolInvoked { tool: Some("grep".into()), ..Default::default() };
/// assert!(emitter.emit_payload(&called).await.is_recorded());
/// emitter.emit(NewEvent::new("step.started")).await;
/// emitter.emit_nowait(NewEvent::new("step.done"));
/// bus.close().await?;
/// let event = &store.read(&retold::Query::branch("run-7")?)?.events[0];
/// assert_eq!((event.kind(), event.source(), event.actor()), ("tool.invoked", Some("runner"), Some("agent-3")));
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Emitter {
    bus: Bus,
    place: Place,
    source: String,
    actor: String,
    correlation: String,
    priority: u8,
    metadata: BTreeMap<String, String>,
    subscriptions: Subscriptions,
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emitter({} to {})", self.source, self.place)
    }
}

/// What ends with one emitter.
#[derive(Debug, Default)]
struct Subscriptions(Mutex<Vec<Subscription>>);

impl Clone for Subscriptions {
    /// None: a clone that one of these handlers holds would keep that handler subscribed for ever.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let subscriptions = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        subscriptions.iter().for_each(Subscription::unsubscribe);
    }
}

/// What happened to an emitted event. It need not be looked at: what is lost is counted and logged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Emitted {
    /// It is recorded.
    Recorded(Receipt),
    /// It was delivered to current receivers and not recorded, as configured for its type.
    Ephemeral,
    /// The store could not be written; it is in the spill, and is recorded once the store can be written again.
    Spilled,
    /// It is lost, for this reason. It is counted and logged.
    Dropped(Error),
}

impl Emitted {
    /// Whether it is in the store.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        matches!(self, Self::Recorded(_))
    }
}

impl Bus {
    /// An emitter with this source, for this session or branch.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a source that no event can have, an invalid address, or one that names an event.
    pub fn emitter<A>(&self, source: impl Into<String>, address: A) -> Result<Emitter>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let source = source.into();
        // Otherwise every event of the emitter would be dropped.
        NewEvent::new("emitter").source(source.clone()).check()?;
        Ok(Emitter {
            bus: self.link(),
            place: branch_of(address.try_into()?)?,
            source,
            actor: String::new(),
            correlation: String::new(),
            priority: 0,
            metadata: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
        })
    }
}

impl Emitter {
    /// The person, agent or service that acts.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = actor.into();
        self
    }

    /// Ties its events to related ones.
    #[must_use]
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = correlation.into();
        self
    }

    /// The priority of its events.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Metadata of all its events.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The same, for another session or branch, without its subscriptions.
    ///
    /// # Errors
    /// As [`Bus::emitter`].
    pub fn to<A>(&self, address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Ok(Self { place: branch_of(address.try_into()?)?, ..self.clone() })
    }

    /// An event with this emitter's fields filled in; fields set on the event take precedence.
    pub fn prepared(&self, mut event: NewEvent) -> NewEvent {
        let own = |text: &str| text.to_owned().into();
        for (field, common) in [
            (&mut event.source, &self.source),
            (&mut event.actor, &self.actor),
            (&mut event.correlation, &self.correlation),
        ] {
            if field.is_empty() {
                *field = own(common);
            }
        }
        if event.priority == 0 {
            event.priority = self.priority;
        }
        for (key, value) in &self.metadata {
            event.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        event
    }

    /// Records an event, and waits until it is recorded and awaited handlers have run. It never fails: an event that
    /// cannot be recorded goes to the spill, or is dropped. In a forked child all events are dropped.
    pub async fn emit(&self, event: NewEvent) -> Emitted {
        let (core, event) = (self.bus.core(), self.prepared(event));
        if let Err(error) = core.shared.handle.process().check() {
            return Emitted::Dropped(error);
        }
        core.nowait.ready();
        // With its causes, which are known here but not where the spill is drained.
        let event = super::current::stamp(event);
        // Ephemeral events wait neither for the store nor in the spill.
        let is_told = core.settings.rules.of(event.kind()) == Some(Persistence::Ephemeral);
        let result = match (core.open(), is_spilling(core, &self.place)) {
            (Err(closed), _) => Err(closed),
            (Ok(()), _) if is_told => {
                publish(core, self.bus.waits_for(), self.place.clone(), vec![event.clone()]).await
            }
            (Ok(()), true) => Err(behind_the_spill()),
            (Ok(()), false) => {
                publish(core, self.bus.waits_for(), self.place.clone(), vec![event.clone()]).await
            }
        };
        match result {
            Ok(published) => published.receipt.map_or(Emitted::Ephemeral, Emitted::Recorded),
            Err(error) if is_told || error.is_refusal() => {
                refused(core, &event, &error);
                Emitted::Dropped(error)
            }
            Err(error) => {
                let event = Unwritten::new(self.place.clone(), event, None);
                match set_aside(core, vec![event], error.clone(), Origin::Publisher).await {
                    true => Emitted::Spilled,
                    false => Emitted::Dropped(error),
                }
            }
        }
    }

    /// As [`Bus::publish_nowait`].
    pub fn emit_nowait(&self, event: NewEvent) {
        // Counted and logged there.
        let _ = publish_nowait(self.bus.core(), self.place.clone(), self.prepared(event));
    }

    /// An event of the catalogue, from its payload.
    ///
    /// # Errors
    /// As [`Payload::event`].
    pub fn event<P: Payload>(&self, payload: &P) -> Result<NewEvent> {
        Ok(self.prepared(payload.event()?))
    }

    /// [`emit`](Self::emit) of a type of the catalogue.
    pub async fn emit_payload<P: Payload>(&self, payload: &P) -> Emitted {
        match payload.event() {
            Ok(event) => self.emit(event).await,
            Err(invalid) => self.not_an_event(P::NAME, invalid.into()),
        }
    }

    /// [`emit_nowait`](Self::emit_nowait) of a type of the catalogue.
    pub fn emit_payload_nowait<P: Payload>(&self, payload: &P) {
        match payload.event() {
            Ok(event) => self.emit_nowait(event),
            Err(invalid) => drop(self.not_an_event(P::NAME, invalid.into())),
        }
    }

    fn not_an_event(&self, kind: &'static str, error: Error) -> Emitted {
        refused(self.bus.core(), &NewEvent::new(kind), &error);
        Emitted::Dropped(error)
    }

    /// Subscribes a handler that ends with this emitter, whatever clones of it there are.
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
        self.keep(self.bus.subscribe(pattern), |asked| asked.run(handler))
    }

    /// Ties a subscription to this emitter, so that both end together: `emitter.keep(bus.subscribe("tool.**").once(), |s| s.run(handler))`.
    ///
    /// # Errors
    /// As [`Subscribe::run`].
    pub fn keep(
        &self,
        asked: Subscribe,
        run: impl FnOnce(Subscribe) -> Result<Subscription>,
    ) -> Result<Subscription> {
        let subscription = run(asked)?;
        let mut kept = lock(&self.subscriptions.0);
        // Subscriptions that have ended need not be kept.
        kept.retain(Subscription::is_running);
        kept.push(subscription.clone());
        Ok(subscription)
    }
}
