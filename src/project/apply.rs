//! A projection as the engine calls it: whatever it does, the caller gets an answer.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::fold::{AnyState, DynProjection, Emit, Scope};
use super::keys::{Built, Key};
use crate::error::Result;
use crate::event::{Event, Filter, check_kind};
use crate::limits::MAX_STATE_KEY_BYTES;

/// A projection with the answers that do not change.
#[derive(Clone)]
pub(super) struct Fold {
    projection: Arc<dyn DynProjection>,
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) shape: u64,
    pub(super) scope: Scope,
    pub(super) reacts: bool,
    interests: Option<Filter>,
}

impl fmt::Debug for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.name, self.version)
    }
}

impl Fold {
    pub(super) fn new(projection: Arc<dyn DynProjection>) -> Result<Self> {
        let name = projection.name().to_owned();
        check_kind(&name).map_err(|e| crate::event::Invalid::new("projection", e.reason))?;
        let interests = projection.interests();
        Ok(Self {
            name,
            version: projection.version(),
            shape: projection.shape(),
            scope: projection.scope(),
            reacts: projection.reacts(),
            interests: (!interests.is_empty()).then_some(interests),
            projection,
        })
    }

    /// Whether these states are what this code folds.
    pub(super) fn made(&self, built: &Built) -> bool {
        (built.version, built.shape, built.scope) == (self.version, self.shape, self.scope)
    }

    pub(super) fn fresh(&self) -> AnyState {
        self.projection.fresh()
    }

    pub(super) fn copy(&self, state: &AnyState) -> AnyState {
        self.projection.copy(state)
    }

    /// `None` when it no longer has that shape, whatever way it takes to show.
    pub(super) fn decode(&self, json: &[u8]) -> Option<AnyState> {
        guarded(|| Ok(self.projection.decode(json))).ok().flatten()
    }

    pub(super) fn encode(&self, state: &AnyState) -> Result<Vec<u8>, String> {
        guarded(|| self.projection.encode(state).map_err(|e| format!("its state cannot be written: {e}")))
    }

    /// Folds an event into a state, if it is one of those that the projection wants. After an error the state may be
    /// changed by half.
    pub(super) fn step(&self, state: &mut AnyState, event: &Event) -> Result<bool, String> {
        if self.interests.as_ref().is_some_and(|filter| !filter.takes(event)) {
            return Ok(false);
        }
        guarded(|| self.projection.apply(state, event).map_err(|e| e.to_string())).map(|()| true)
    }

    /// [`step`](Self::step), and what the projection raises because of it.
    pub(super) fn step_and_react(&self, state: &mut AnyState, event: &Event) -> Result<Vec<Emit>, String> {
        let before = self.copy(state);
        match self.step(state, event)? {
            true => guarded(|| Ok(self.projection.react(&before, state, event))),
            false => Ok(Vec::new()),
        }
    }

    /// The text under which the state lies that an event changes, for a scope other than branches.
    pub(super) fn text_key(&self, event: &Event) -> Option<String> {
        match self.scope {
            Scope::Branch => None,
            Scope::Session => Some(event.session().as_str().to_owned()),
            Scope::Key => {
                // A key that cannot be asked for, or is none, leaves the event out.
                let key = guarded(|| Ok(self.projection.key(event))).ok().flatten()?;
                (!key.is_empty() && key.len() <= MAX_STATE_KEY_BYTES).then_some(key)
            }
        }
    }

    /// For people: what a key stands for.
    pub(super) fn named(&self, key: &Key, event: &Event) -> String {
        match key {
            Key::Branch(_) => event.place().to_string(),
            Key::Text(text) => text.clone(),
        }
    }
}

/// A panic of the user's code is an error like any other.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "for a reason that is no text".into());
        Err(format!("it panicked: {reason}"))
    })
}
