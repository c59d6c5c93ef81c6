//! What a projection is: a pure fold of events into a state.

use std::any::Any;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::event::{Event, EventId, Filter, NewEvent, Place};

/// What a state belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Scope {
    /// One state a branch, inherited events included: it can be asked for at every sequence and time, and a fork
    /// shares the states of its ancestors.
    #[default]
    Branch,
    /// One state a session: the own events of all its branches, in global order, each once.
    Session,
    /// One state for each key that [`Projection::key`] gives, across sessions, in global order.
    Key,
}

/// Why an event could not be applied. Any error becomes one with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError(String);

impl ApplyError {
    /// In words of yours.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Not an `Error` itself, so that every error can be turned into one.
impl<E: std::error::Error> From<E> for ApplyError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// An event that a projection raises. Its id follows from the projection, the rule and the causing event, so that
/// it is recorded once, however often the cause is folded.
#[derive(Clone, Debug)]
#[must_use]
pub struct Emit {
    pub(crate) rule: String,
    pub(crate) event: NewEvent,
    pub(crate) to: Option<Place>,
    pub(crate) cause: Option<EventId>,
}

impl Emit {
    /// An event by a rule, whose name is unique among those that one event can set off in this projection. It is
    /// appended to the branch of the causing event; id and causation are filled in.
    pub fn new(rule: impl Into<String>, event: NewEvent) -> Self {
        Self { rule: rule.into(), event, to: None, cause: None }
    }

    /// Because of an earlier event than the one at hand, which has shown it: a silence follows from the last event
    /// before it. Id and causation are those of the earlier one, and the time is the raised event's own.
    pub fn because(mut self, cause: EventId) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Appended to this branch instead. A session that is not there begins with it; a branch has to exist.
    pub fn to(mut self, place: Place) -> Self {
        self.to = Some(place);
        self
    }

    /// The id that the rule's event has when this event sets it off.
    #[must_use]
    pub fn id(projection: &str, rule: &str, cause: EventId) -> EventId {
        /// Only a name for the namespace below.
        const ROOT: Uuid = Uuid::from_u128(0x6f1b_9e0c_52d4_5c0e_9a55_3f6d_2c47_81ab);
        let mut name = Vec::with_capacity(projection.len() + rule.len() + 17);
        name.extend_from_slice(projection.as_bytes());
        name.push(0);
        name.extend_from_slice(cause.bytes());
        name.extend_from_slice(rule.as_bytes());
        EventId::derived(ROOT, &name)
    }
}

/// A fold of events into a state: pure, so that folding the same events again gives the same state.
///
/// `apply` sees the events that [`interests`](Self::interests) takes, in order, each once. What it answers may depend
/// on nothing but the state and the event: no clock, no random number, no file. A state is kept as JSON and has to
/// come back from it as it was.
///
/// ```
/// use retold::project::{ApplyError, Projection};
/// use retold::{Event, Filter};
///
/// #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
/// struct Tools { calls: u64, last: Option<String> }
///
/// struct ToolUse;
///
/// impl Projection for ToolUse {
///     type State = Tools;
///     fn name(&self) -> &str { "tool_use" }
///     fn interests(&self) -> Filter { Filter::new().pattern("tool.invoked".parse().unwrap()) }
///     fn apply(&self, tools: &mut Tools, event: &Event) -> Result<(), ApplyError> {
///         let data: serde_json::Value = event.json()?;
///         tools.calls += 1;
///         tools.last = data["tool"].as_str().map(Into::into);
///         Ok(())
///     }
/// }
/// ```
pub trait Projection: Send + Sync + 'static {
    /// What the events are folded into. Before the first event it is the default.
    type State: Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static;

    /// Its name, unique in a store; the rules are those of an event's type.
    fn name(&self) -> &str;

    /// Raised whenever the same events would give another state. A store that has states of another version
    /// rebuilds them.
    fn version(&self) -> u32 {
        1
    }

    /// The events that `apply` is to see; all unless said. A projection is the same on every store, so that patterns have
    /// the other names of the built-in catalogue here, whatever that of the store is; [`Filter::pattern_in`] names another.
    fn interests(&self) -> Filter {
        Filter::new()
    }

    /// A number that stands for data on which the fold depends beside its code, such as rules that were loaded. When it
    /// changes, the states are rebuilt as with another version.
    fn shape(&self) -> u64 {
        0
    }

    /// What a state belongs to; a branch unless said.
    fn scope(&self) -> Scope {
        Scope::Branch
    }

    /// For [`Scope::Key`]: the key whose state the event changes, up to 255 bytes; `None` leaves the event out.
    fn key(&self, event: &Event) -> Option<String> {
        let _ = event;
        None
    }

    /// Changes the state by one event.
    ///
    /// # Errors
    /// An error, or a panic, parks the projection for this key at this event: the state stays as it was before
    /// it until the fault is mended and the key is retried. Other keys and projections go on.
    fn apply(&self, state: &mut Self::State, event: &Event) -> Result<(), ApplyError>;

    /// Whether [`react`](Self::react) is to be called: it costs a copy of the state for each event.
    fn reacts(&self) -> bool {
        false
    }

    /// Events to raise because of this one, given the state before and after it. Called by the one who runs the
    /// projection, never by a reader; raised exactly once, also across restarts and rebuilds.
    fn react(&self, before: &Self::State, after: &Self::State, event: &Event) -> Vec<Emit> {
        let _ = (before, after, event);
        Vec::new()
    }
}

/// A state whose type is known to its projection alone.
pub type AnyState = Box<dyn Any + Send + Sync>;

/// A [`Projection`] without its type, so that a list can hold different ones. Every projection is one.
pub trait DynProjection: Send + Sync + 'static {
    /// As [`Projection::name`].
    fn name(&self) -> &str;
    /// As [`Projection::version`].
    fn version(&self) -> u32;
    /// As [`Projection::shape`].
    fn shape(&self) -> u64;
    /// As [`Projection::interests`].
    fn interests(&self) -> Filter;
    /// As [`Projection::scope`].
    fn scope(&self) -> Scope;
    /// As [`Projection::key`].
    fn key(&self, event: &Event) -> Option<String>;
    /// As [`Projection::reacts`].
    fn reacts(&self) -> bool;
    /// The state before the first event.
    fn fresh(&self) -> AnyState;
    /// A state from its JSON; `None` when it no longer has that shape.
    fn decode(&self, json: &[u8]) -> Option<AnyState>;
    /// A state as JSON.
    ///
    /// # Errors
    /// When serde refuses, for instance a map whose keys are not text.
    fn encode(&self, state: &AnyState) -> Result<Vec<u8>, ApplyError>;
    /// A copy.
    fn copy(&self, state: &AnyState) -> AnyState;
    /// As [`Projection::apply`].
    ///
    /// # Errors
    /// As [`Projection::apply`].
    fn apply(&self, state: &mut AnyState, event: &Event) -> Result<(), ApplyError>;
    /// As [`Projection::react`].
    fn react(&self, before: &AnyState, after: &AnyState, event: &Event) -> Vec<Emit>;
}

fn other<T>() -> ApplyError {
    ApplyError(format!("the state is not a {}", std::any::type_name::<T>()))
}

impl<P: Projection> DynProjection for P {
    fn name(&self) -> &str {
        Projection::name(self)
    }

    fn version(&self) -> u32 {
        Projection::version(self)
    }

    fn shape(&self) -> u64 {
        Projection::shape(self)
    }

    fn interests(&self) -> Filter {
        Projection::interests(self)
    }

    fn scope(&self) -> Scope {
        Projection::scope(self)
    }

    fn key(&self, event: &Event) -> Option<String> {
        Projection::key(self, event)
    }

    fn reacts(&self) -> bool {
        Projection::reacts(self)
    }

    fn fresh(&self) -> AnyState {
        Box::new(P::State::default())
    }

    fn decode(&self, json: &[u8]) -> Option<AnyState> {
        let state: P::State = serde_json::from_slice(json).ok()?;
        Some(Box::new(state))
    }

    fn encode(&self, state: &AnyState) -> Result<Vec<u8>, ApplyError> {
        let state = state.downcast_ref::<P::State>().ok_or_else(other::<P::State>)?;
        Ok(serde_json::to_vec(state)?)
    }

    fn copy(&self, state: &AnyState) -> AnyState {
        match state.downcast_ref::<P::State>() {
            Some(state) => Box::new(state.clone()),
            None => self.fresh(),
        }
    }

    fn apply(&self, state: &mut AnyState, event: &Event) -> Result<(), ApplyError> {
        let state = state.downcast_mut::<P::State>().ok_or_else(other::<P::State>)?;
        Projection::apply(self, state, event)
    }

    fn react(&self, before: &AnyState, after: &AnyState, event: &Event) -> Vec<Emit> {
        match (before.downcast_ref(), after.downcast_ref()) {
            (Some(before), Some(after)) => Projection::react(self, before, after, event),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emitted_event_has_one_id_for_one_cause_and_rule() {
        let (a, b) = (EventId::new(), EventId::new());
        assert_eq!(Emit::id("alerts", "stalled", a), Emit::id("alerts", "stalled", a));
        let ids = [
            Emit::id("alerts", "stalled", a),
            Emit::id("alerts", "stalled", b),
            Emit::id("alerts", "failing", a),
            Emit::id("other", "stalled", a),
        ];
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[i + 1..].contains(id));
        }
    }
}
