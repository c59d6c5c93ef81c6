//! The handle to a projection: exact states as of any moment, whatever the runner has done so far.

use std::fmt;
use std::sync::Arc;

use super::apply::Fold;
use super::fold::{AnyState, DynProjection, Projection, Scope};
use super::patch::patch;
use super::read::{Found, Source, Stop};
use super::run::Runner;
use super::session_key::{key_of, session_of};
use super::signal::Command;
use super::status::Status;
use crate::error::{Error, Result};
use crate::event::{Address, Invalid, MAIN, SessionId, Timestamp};
use crate::store::{Branch, Range, Reader, Store};
use crate::sync::lock;

/// A state, and what it belongs to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading<S> {
    /// The branch, session or key.
    pub of: String,
    /// For [`Scope::Branch`], its sequence; otherwise the position up to which it is folded.
    pub at: u64,
    /// The state.
    pub state: S,
    /// How many events were folded onto a snapshot for this read.
    pub folded: u64,
    /// In a listing: why the projection is parked there; the state is then the last good one.
    pub parked: Option<String>,
}

impl<S> Reading<S> {
    pub(super) fn map<T>(self, state: impl FnOnce(S) -> Result<T>) -> Result<Reading<T>> {
        let Self { of, at, state: old, folded, parked } = self;
        Ok(Reading { of, at, state: state(old)?, folded, parked })
    }
}

/// How a state leaves: as its type, or as JSON.
pub(super) type Shown<S> = fn(&Fold, AnyState) -> Result<S>;

/// A projection of a store: its states as of any address and time. Every state is exact as of the call: the nearest
/// snapshot, and the fold of what came after it. Snapshots are written in the background while a handle of a writable
/// store is open; a read-only store returns the same states, and writes none. The handle keeps the store open.
///
/// ```
/// use retold::project::{ApplyError, Projection};
/// use retold::{Event, NewEvent, Store};
///
/// struct Count;
///
/// impl Projection for Count {
///     type State = u64;
///     fn name(&self) -> &str { "count" }
///     fn apply(&self, count: &mut u64, _: &Event) -> Result<(), ApplyError> {
///         *count += 1;
///         Ok(())
///     }
/// }
///
/// let store = Store::in_memory()?;
/// let count = store.project(Count)?;
/// store.append("run-7", [NewEvent::new("run.started"), NewEvent::new("tool.invoked")])?;
/// store.fork("run-7@1", "retry")?;
/// assert_eq!(count.state("run-7")?, 2);
/// assert_eq!(count.state("run-7@1")?, 1);
/// assert_eq!(count.state("run-7/retry")?, 1);
/// # Ok::<(), retold::Error>(())
/// ```
pub struct Projected<S> {
    pub(crate) store: Store,
    pub(super) fold: Arc<Fold>,
    pub(super) status: Option<Arc<Status>>,
    pub(super) shown: Shown<S>,
}

impl<S> Clone for Projected<S> {
    fn clone(&self) -> Self {
        let (store, fold, status) = (self.store.clone(), self.fold.clone(), self.status.clone());
        Self { store, fold, status, shown: self.shown }
    }
}

impl<S> fmt::Debug for Projected<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Projected").field(&self.fold).finish()
    }
}

impl Store {
    /// Registers a projection, and keeps its states up behind the writer. What the store has of another version is
    /// rebuilt; registering the same version again gives another handle.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid name; [`Error::Exists`] when the name is registered with another version
    /// or scope; [`Error::Closed`].
    pub fn project<P: Projection>(&self, projection: P) -> Result<Projected<P::State>> {
        self.register(Arc::new(projection), |fold, state| match state.downcast::<P::State>() {
            Ok(state) => Ok(*state),
            Err(_) => Err(Error::Exists { what: "projection", name: fold.name.clone() }),
        })
    }

    /// The same for a projection whose type is not known: its states come as JSON.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub fn project_dyn(
        &self,
        projection: impl Into<Arc<dyn DynProjection>>,
    ) -> Result<Projected<serde_json::Value>> {
        self.register(projection.into(), |fold, state| {
            let json = fold.encode(&state).map_err(|reason| Invalid::new("state", reason))?;
            serde_json::from_slice(&json)
                .map_err(|e| Invalid::new("state", format!("is not JSON: {e}")).into())
        })
    }

    fn register<S>(&self, projection: Arc<dyn DynProjection>, shown: Shown<S>) -> Result<Projected<S>> {
        let fold = Arc::new(Fold::new(projection, self.reader()?.upcasts())?);
        if self.handle().read_only() {
            return Ok(Projected { store: self.clone(), fold, status: None, shown });
        }
        let runner = Runner::of(self)?;
        // Held while the runner takes it up, so that nobody else registers the same name meanwhile.
        let mut known = lock(&runner.known);
        if let Some((old, status)) = known.get(&fold.name) {
            if (old.version, old.shape, old.scope) != (fold.version, fold.shape, fold.scope) {
                return Err(Error::Exists { what: "projection", name: fold.name.clone() });
            }
            return Ok(Projected {
                store: self.clone(),
                fold: old.clone(),
                status: Some(status.clone()),
                shown,
            });
        }
        let status = Arc::<Status>::default();
        runner.signal.ask(|reply| Command::Add(fold.clone(), status.clone(), reply))?;
        known.insert(fold.name.clone(), (fold.clone(), status.clone()));
        Ok(Projected { store: self.clone(), fold, status: Some(status), shown })
    }
}

/// What a state is read for.
pub(super) enum Target {
    Branch(Arc<Branch>, u64),
    /// A session or a key, up to a position.
    Text(String, u64),
}

impl<S> Projected<S> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.fold.name
    }

    /// What its states belong to.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.fold.scope
    }

    /// The state at an address: after the event it names, or at the branch's head. For [`Scope::Session`], the
    /// address of the session.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a branch that does not exist or a sequence beyond its head; [`Error::Parked`] if an
    /// event up to there cannot be applied (the state before that event can be read); [`Error::Invalid`] for an address
    /// that does not fit the scope.
    pub fn state<A>(&self, address: A) -> Result<S>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.read(address).map(|reading| reading.state)
    }

    /// [`state`](Self::state), with what it belongs to and how many events were folded.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn read<A>(&self, address: A) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let target = self.target(&source, &address.try_into()?)?;
        self.reading(&source, &target)
    }

    /// The state under a key, for [`Scope::Key`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if no event has that key; otherwise as [`state`](Self::state).
    pub fn state_of(&self, key: &str) -> Result<S> {
        self.read_of(key).map(|reading| reading.state)
    }

    /// [`state_of`](Self::state_of), with how many events were folded.
    ///
    /// # Errors
    /// As [`state_of`](Self::state_of).
    pub fn read_of(&self, key: &str) -> Result<Reading<S>> {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let target = self.key_target(&source, key)?;
        self.reading(&source, &target)
    }

    /// The state after the last event recorded at or before this time.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nothing was recorded by then; otherwise as [`state`](Self::state).
    pub fn state_at<A>(&self, address: A, time: Timestamp) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let target = self.target(&source, &address.try_into()?)?;
        self.reading(&source, &at_time(&reader, target, time)?)
    }

    /// [`state_at`](Self::state_at) for a key.
    ///
    /// # Errors
    /// As [`state_at`](Self::state_at).
    pub fn state_of_at(&self, key: &str, time: Timestamp) -> Result<Reading<S>> {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let target = self.key_target(&source, key)?;
        self.reading(&source, &at_time(&reader, target, time)?)
    }

    /// The difference between two states as a JSON Patch (RFC 6902) that turns the first into the second.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn diff_state<A, B>(&self, a: A, b: B) -> Result<serde_json::Value>
    where
        A: TryInto<Address>,
        B: TryInto<Address>,
        Error: From<A::Error> + From<B::Error>,
    {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let json = |address: Address| -> Result<serde_json::Value> {
            let target = self.target(&source, &address)?;
            let found = self.found(&source, &target).map_err(|stop| stop.told(&self.fold))?;
            let json = self.fold.encode(&found.state).map_err(|reason| Invalid::new("state", reason))?;
            serde_json::from_slice(&json)
                .map_err(|e| Invalid::new("state", format!("is not JSON: {e}")).into())
        };
        Ok(patch(&json(a.try_into()?)?, &json(b.try_into()?)?))
    }

    pub(super) fn target(&self, source: &Source<'_>, address: &Address) -> Result<Target> {
        let refuse = |why: &str| Err(Invalid::new("address", format!("`{address}` {why}")).into());
        match self.fold.scope {
            Scope::Branch => source.head(address).map(|(branch, to)| Target::Branch(branch, to)),
            Scope::Key => refuse("is an address; this projection has its states by key"),
            Scope::Session if address.sequence().is_some() || address.branch().as_str() != MAIN => {
                refuse("is not that of a session; this projection has one state for all its branches")
            }
            Scope::Session => self.key_target(source, address.session().as_str()),
        }
    }

    pub(super) fn key_target(&self, source: &Source<'_>, key: &str) -> Result<Target> {
        match self.fold.scope {
            Scope::Branch => Err(Invalid::new(
                "key",
                format!("`{key}` is given; this projection has its states by branch"),
            )
            .into()),
            Scope::Session => {
                let session = SessionId::new(key)?;
                if source.reader.branches_of(&session)?.is_empty() {
                    return Err(Error::not_found("session", key));
                }
                let to = source.reader.committed().get();
                Ok(Target::Text(key_of(source.reader, &session)?, to))
            }
            Scope::Key => Ok(Target::Text(key.to_owned(), source.reader.committed().get())),
        }
    }

    fn found(&self, source: &Source<'_>, target: &Target) -> Result<Found, Stop> {
        match target {
            Target::Branch(branch, to) => source.branch(branch, *to),
            Target::Text(text, to) => {
                let found = source.keyed(text, *to)?;
                // A snapshot may be written between two reads: the one that was folded from counts, then any.
                let is_empty = found.folded == 0 && found.snapshot.is_none();
                if self.fold.scope == Scope::Key && is_empty && source.stored(text, None)?.0.at == 0 {
                    return Err(Error::not_found("key", text).into());
                }
                Ok(found)
            }
        }
    }

    fn reading(&self, source: &Source<'_>, target: &Target) -> Result<Reading<S>> {
        let found = self.found(source, target).map_err(|stop| stop.told(&self.fold))?;
        let of = match target {
            Target::Branch(branch, _) => branch.place.to_string(),
            Target::Text(text, _) if self.fold.scope == Scope::Session => session_of(text).to_owned(),
            Target::Text(text, _) => text.clone(),
        };
        self.show(Reading { of, at: found.at, state: found.state, folded: found.folded, parked: None })
    }

    pub(super) fn show(&self, reading: Reading<AnyState>) -> Result<Reading<S>> {
        reading.map(|state| (self.shown)(&self.fold, state))
    }
}

/// The last event recorded by then, by binary search: the clock of a store goes forward, or nearly so.
fn at_time(reader: &Reader, target: Target, time: Timestamp) -> Result<Target> {
    let last = |to: u64, recorded: &dyn Fn(u64) -> Result<Option<Timestamp>>| -> Result<u64> {
        let (mut lo, mut hi) = (0, to);
        while lo < hi {
            let middle = lo + (hi - lo).div_ceil(2);
            match recorded(middle)? {
                Some(t) if t <= time => lo = middle,
                _ => hi = middle - 1,
            }
        }
        Ok(lo)
    };
    let none = |of: &str| Error::not_found("event", format!("of {of} that was recorded at or before {time}"));
    match target {
        Target::Branch(branch, to) => {
            let found = last(to, &|n| {
                match reader.page(&branch, Range { from: n, to: n, limit: 1, reverse: false }) {
                    // What is left comes later.
                    Err(Error::Truncated { .. }) => Ok(Some(Timestamp::from_micros(i64::MIN))),
                    page => Ok(page?.first().map(crate::event::Event::recorded)),
                }
            })?;
            if found == 0 { Err(none(&branch.place.to_string())) } else { Ok(Target::Branch(branch, found)) }
        }
        Target::Text(text, to) => {
            let found = last(to, &|n| {
                // It may be gone.
                let page = reader.page_all(Range { from: n, to, limit: 1, reverse: false })?;
                Ok(page.first().map(crate::event::Event::recorded))
            })?;
            if found == 0 { Err(none(session_of(&text))) } else { Ok(Target::Text(text, found)) }
        }
    }
}
