//! A projection as the engine calls it: whatever it does, the caller gets an answer.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::fold::{AnyState, DynProjection, Emit, Scope};
use super::keys::{self, Built, Key, LeaseKeys};
use super::session_key::session_of;
use crate::error::Result;
use crate::event::{Event, Filter, check_kind};
use crate::limits::{MAX_SHARED_PAYLOAD_BYTES, MAX_STATE_KEY_BYTES};
use crate::panics::caught;
use crate::schema::Upcasts;
use crate::store::newest;

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
    upcasts: Option<Upcasts>,
}

impl fmt::Debug for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.name, self.version)
    }
}

impl Fold {
    /// A projection over a store whose events go through these steps while they are read.
    pub(super) fn new(projection: Arc<dyn DynProjection>, upcasts: Option<&Upcasts>) -> Result<Self> {
        let name = projection.name().to_owned();
        check_kind(&name).map_err(|e| crate::event::Invalid::new("projection", e.reason))?;
        let interests = projection.interests();
        Ok(Self {
            name,
            version: projection.version(),
            // A changed step of what it folds is a changed fold.
            shape: projection.shape() ^ upcasts.map_or(0, |u| u.fingerprint_for(&interests)),
            scope: projection.scope(),
            reacts: projection.reacts(),
            interests: (!interests.is_empty()).then_some(interests),
            upcasts: upcasts.cloned(),
            projection,
        })
    }

    /// Whether these states are what this code folds.
    pub(super) fn made(&self, built: &Built) -> bool {
        (built.version, built.shape, built.scope) == (self.version, self.shape, self.scope)
    }

    /// What tells it from other code under this name.
    pub(super) fn code(&self) -> Vec<u8> {
        keys::code(self.version, self.shape, self.scope)
    }

    /// The lease of this code.
    pub(super) fn lease(&self) -> LeaseKeys {
        keys::lease(&self.name, &self.code())
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

    /// The event in its newest shape, if it is one of those that the projection wants.
    fn wanted<'a>(&self, event: &'a Event) -> Result<Option<Cow<'a, Event>>, String> {
        let takes = |event: &Event| self.interests.as_ref().is_none_or(|filter| filter.takes(event));
        let upcasts = self.upcasts.as_ref().filter(|u| u.touches(event.kind(), event.version()));
        let Some(upcasts) = upcasts else { return Ok(takes(event).then_some(Cow::Borrowed(event))) };
        let may_want = |kind: &str| self.interests.as_ref().is_none_or(|filter| filter.takes_kind(kind));
        if !upcasts.may_be(event.kind(), event.version(), &may_want) {
            return Ok(None);
        }
        let newest = shaped(upcasts, event)?;
        Ok(takes(&newest).then_some(Cow::Owned(newest)))
    }

    /// Folds an event into a state, if it is one of those that the projection wants. After an error the state may be
    /// changed by half.
    pub(super) fn step(&self, state: &mut AnyState, event: &Event) -> Result<bool, String> {
        let Some(event) = self.wanted(event)? else { return Ok(false) };
        guarded(|| self.projection.apply(state, &event).map_err(|e| e.to_string())).map(|()| true)
    }

    /// [`step`](Self::step), and what the projection raises because of it.
    pub(super) fn step_and_react(&self, state: &mut AnyState, event: &Event) -> Result<Vec<Emit>, String> {
        let Some(event) = self.wanted(event)? else { return Ok(Vec::new()) };
        let before = self.copy(state);
        guarded(|| self.projection.apply(state, &event).map_err(|e| e.to_string()))?;
        guarded(|| Ok(self.projection.react(&before, state, &event)))
    }

    /// The text under which the state lies that an event changes, for a scope of keys.
    pub(super) fn text_key(&self, event: &Event) -> Option<String> {
        match self.scope {
            Scope::Branch | Scope::Session => None,
            Scope::Key => {
                // A key that cannot be asked for, or is none, leaves the event out.
                let upcasts = self.upcasts.as_ref().filter(|u| u.touches(event.kind(), event.version()));
                let newest = upcasts.and_then(|upcasts| shaped(upcasts, event).ok());
                let event = newest.as_ref().unwrap_or(event);
                let key = guarded(|| Ok(self.projection.key(event))).ok().flatten()?;
                (!key.is_empty() && key.len() <= MAX_STATE_KEY_BYTES).then_some(key)
            }
        }
    }

    /// For people: what a key stands for.
    pub(super) fn named(&self, key: &Key, event: &Event) -> String {
        match key {
            Key::Branch(_) => event.place().to_string(),
            Key::Text(text) if self.scope == Scope::Session => session_of(text).to_owned(),
            Key::Text(text) => text.clone(),
        }
    }
}

thread_local! {
    /// The event that was made new last, as it is stored and as it is read: all who fold it make it new once.
    static SHAPED: RefCell<Option<(Event, Event)>> = const { RefCell::new(None) };
}

/// The event in its newest shape.
fn shaped(upcasts: &Upcasts, event: &Event) -> Result<Event, String> {
    // It is held, so that no other can lie where it does; in one place are the steps of one store.
    let bytes = |e: &Event| e.record().encoded().as_ptr();
    let same = |e: &Event| e.position() == event.position() && std::ptr::eq(bytes(e), bytes(event));
    let known =
        SHAPED.with_borrow(|last| last.as_ref().filter(|(stored, _)| same(stored)).map(|l| l.1.clone()));
    if let Some(known) = known {
        return Ok(known);
    }
    let newest = newest(upcasts, event.clone()).map_err(|e| e.to_string())?;
    if event.payload().len() <= MAX_SHARED_PAYLOAD_BYTES {
        SHAPED.set(Some((event.clone(), newest.clone())));
    }
    Ok(newest)
}

/// A panic of the user's code is an error like any other.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    caught(call).unwrap_or_else(|said| Err(format!("it panicked: {said}")))
}
