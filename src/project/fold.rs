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
    /// One state per branch, inherited events included: it can be read as of any sequence or time, and a fork shares
    /// the states of its ancestors.
    #[default]
    Branch,
    /// One state per session: the own events of all its branches, in global order, each once.
    Session,
    /// One state for each key returned by [`Projection::key`], across sessions, in global order.
    Key,
}

/// Why an event could not be applied. Any error converts to it with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError(String);

impl ApplyError {
    /// With a message.
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

/// An event that a projection raises. Its id is derived from the projection, the rule and the causing event, so that
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
    /// An event raised by a rule, whose name is unique among those that one event can trigger in this projection. It
    /// is appended to the branch of the causing event; id and causation are filled in.
    pub fn new(rule: impl Into<String>, event: NewEvent) -> Self {
        Self { rule: rule.into(), event, to: None, cause: None }
    }

    /// Attributes it to an earlier event than the current one, which only revealed it: a silence is caused by the
    /// last event before it. Id and causation are derived from the earlier one; the time is the raised event's own.
    pub fn because(mut self, cause: EventId) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Appends it to this branch instead. A missing session is created; a branch other than `main` has to exist.
    pub fn to(mut self, place: Place) -> Self {
        self.to = Some(place);
        self
    }

    /// The id of the rule's event when this event triggers it.
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

/// A pure fold of events into a state: folding the same events again gives the same state.
///
/// `apply` sees the events that match [`interests`](Self::interests), in order, each once. Its result must depend
/// only on the state and the event: no clock, no random number, no file. A state is stored as JSON and has to
/// survive the round trip.
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
    /// The state. Before the first event it is the default.
    type State: Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static;

    /// Its name, unique in a store, with the same rules as an event's type.
    fn name(&self) -> &str;

    /// Has to be raised whenever the same events would give a different state. States of another version are
    /// rebuilt.
    fn version(&self) -> u32 {
        1
    }

    /// The events that `apply` sees; all by default. A projection is the same on every store, so patterns use the
    /// aliases of the built-in catalogue here, whatever the store's is; [`Filter::pattern_in`] uses another.
    fn interests(&self) -> Filter {
        Filter::new()
    }

    /// A number that identifies data on which the fold depends besides its code, such as loaded rules. When it
    /// changes, the states are rebuilt as for another version.
    fn shape(&self) -> u64 {
        0
    }

    /// What a state belongs to; a branch by default.
    fn scope(&self) -> Scope {
        Scope::Branch
    }

    /// For [`Scope::Key`]: the key whose state the event changes, up to 255 bytes; `None` skips the event.
    fn key(&self, event: &Event) -> Option<String> {
        let _ = event;
        None
    }

    /// Changes the state by one event.
    ///
    /// # Errors
    /// An error or a panic parks the projection for this key at this event: the state stays as it was before, until
    /// the cause is fixed and the key is retried. Other keys and projections continue.
    fn apply(&self, state: &mut Self::State, event: &Event) -> Result<(), ApplyError>;

    /// Whether [`react`](Self::react) is called, which costs a copy of the state for each event.
    fn reacts(&self) -> bool {
        false
    }

    /// Events to raise because of this one, given the states before and after it. Called only by the background
    /// thread, never by a reader; events are raised exactly once, across restarts and rebuilds.
    fn react(&self, before: &Self::State, after: &Self::State, event: &Event) -> Vec<Emit> {
        let _ = (before, after, event);
        Vec::new()
    }
}

/// A type-erased state.
pub type AnyState = Box<dyn Any + Send + Sync>;

/// A type-erased [`Projection`], so that a list can hold different ones. Every projection is one.
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
    /// A state from its JSON; `None` if it no longer has that shape.
    fn decode(&self, json: &[u8]) -> Option<AnyState>;
    /// A state as JSON.
    ///
    /// # Errors
    /// If serde refuses, for instance a map whose keys are not strings.
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
