//! Which types of events are emitted, how often and when; and which never are.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::{Catalogue, Event, Timestamp};
use crate::project::Projected;
use crate::project::{ApplyError, Projection, Scope};

/// Counts the events of each type over the whole store. A type that is defined but never emitted is a fault that no
/// test of a single program finds; `retold types --coverage` and [`Projected::coverage`] show it.
///
/// ```
/// use retold::agents::projections::Coverage;
/// use retold::{Catalogue, NewEvent, Store};
/// let store = Store::in_memory()?;
/// let coverage = store.project(Coverage)?;
/// store.append("run-7", [NewEvent::new("plan.created"), NewEvent::new("plan_created"), NewEvent::new("a.b")])?;
/// let report = coverage.coverage(Catalogue::builtin())?;
/// let plan = report.types.iter().find(|t| t.name == "plan.created").unwrap();
/// assert_eq!((plan.events, report.emitted(), report.unknown.len()), (2, 1, 1));
/// assert!(report.never().any(|t| t.name == "plan.applied"));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage;

/// What [`Coverage`] knows about one type, by its recorded name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmittedType {
    /// The number of events, each counted once however many forks inherit it.
    pub events: u64,
    /// When the first of them occurred, in microseconds since the epoch.
    pub first: i64,
    /// When the last of them occurred, in microseconds since the epoch.
    pub last: i64,
}

impl EmittedType {
    fn and(&mut self, other: &Self) {
        let none = self.events == 0;
        self.first = if none { other.first } else { self.first.min(other.first) };
        self.last = if none { other.last } else { self.last.max(other.last) };
        self.events += other.events;
    }
}

impl Projection for Coverage {
    type State = EmittedType;

    fn name(&self) -> &str {
        "coverage"
    }

    fn scope(&self) -> Scope {
        Scope::Key
    }

    /// The recorded name: which type it is an alias of depends on a catalogue, and is found in the report.
    fn key(&self, event: &Event) -> Option<String> {
        Some(event.kind().to_owned())
    }

    fn apply(&self, emitted: &mut EmittedType, event: &Event) -> Result<(), ApplyError> {
        let occurred = event.occurred().micros();
        emitted.and(&EmittedType { events: 1, first: occurred, last: occurred });
        Ok(())
    }
}

/// A type, and how often it was emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Covered {
    /// Its name in the catalogue, or as it was recorded when no catalogue knows it.
    pub name: String,
    /// Its domain; empty when it is unknown.
    pub domain: String,
    /// The number of events under any of its names.
    pub events: u64,
    /// When the first of them occurred.
    pub first: Option<Timestamp>,
    /// When the last of them occurred.
    pub last: Option<Timestamp>,
}

impl Covered {
    fn new(name: &str, domain: &str, emitted: &EmittedType) -> Self {
        let some = |micros| (emitted.events > 0).then(|| Timestamp::from_micros(micros));
        let (first, last) = (some(emitted.first), some(emitted.last));
        Self { name: name.to_owned(), domain: domain.to_owned(), events: emitted.events, first, last }
    }
}

/// Every type of a catalogue, and how often it was emitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoverageReport {
    /// The types of the catalogue, in its order.
    pub types: Vec<Covered>,
    /// Emitted types that the catalogue does not know.
    pub unknown: Vec<Covered>,
}

impl CoverageReport {
    /// The number of types of the catalogue that were emitted.
    #[must_use]
    pub fn emitted(&self) -> usize {
        self.types.iter().filter(|t| t.events > 0).count()
    }

    /// The types of the catalogue that were never emitted.
    pub fn never(&self) -> impl Iterator<Item = &Covered> {
        self.types.iter().filter(|t| t.events == 0)
    }
}

impl Projected<EmittedType> {
    /// Which types of a catalogue have been emitted in the store so far, and which never.
    ///
    /// # Errors
    /// Those of reading.
    pub fn coverage(&self, catalogue: &Catalogue) -> Result<CoverageReport> {
        let mut of: Vec<(&str, &str, EmittedType)> =
            catalogue.types().map(|t| (t.name(), t.domain(), EmittedType::default())).collect();
        let mut unknown = Vec::new();
        for reading in self.list(|_| true)? {
            let known = catalogue.find(&reading.of).map(|t| t.name());
            match of.iter_mut().find(|(name, ..)| Some(*name) == known) {
                Some((.., emitted)) => emitted.and(&reading.state),
                None => unknown.push(Covered::new(&reading.of, "", &reading.state)),
            }
        }
        let types = of.iter().map(|(name, domain, emitted)| Covered::new(name, domain, emitted)).collect();
        Ok(CoverageReport { types, unknown })
    }
}
