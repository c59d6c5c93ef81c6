//! What a session has used: of the machine, of providers, of money.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::roles::{RoleReading, Roles, clip};
use crate::event::{Catalogue, Event, Figure, Measure, Mode, Role, Timestamp};
use crate::limits::{RESOURCE_NAMES, RESOURCE_RUNS, RESOURCE_TOTALS};
use crate::project::{ApplyError, Projection, Scope};

/// Folds the figures that events report, by the roles of a catalogue.
///
/// ```
/// use retold::event::Catalogue;
/// use retold::agents::projections::Resource;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// let resources = store.project(Resource::new(Catalogue::builtin()))?;
/// let call = |tokens: u64| {
///     NewEvent::new("coder.api_call").data(serde_json::json!({"provider": "acme", "model": "m", "input_tokens": tokens}))
/// };
/// store.append("run-7", [call(100), call(50)])?;
/// let used = resources.state("run-7")?;
/// assert_eq!(used.sum("input_tokens"), 150.0);
/// assert_eq!(used.providers["acme"]["input_tokens"].peak, 100.0);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resource {
    roles: Arc<Roles>,
    scope: Scope,
}

/// Amounts by the name of their measure.
pub type Amounts = BTreeMap<String, Amount>;

/// What [`Resource`] knows about a branch, or about a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Used {
    /// Everything, by measure.
    pub measures: Amounts,
    /// By provider, if one is named. After [`RESOURCE_NAMES`] the others are together under [`OTHERS`].
    pub providers: BTreeMap<String, Amounts>,
    /// By model, likewise.
    pub models: BTreeMap<String, Amounts>,
    /// The last reported total of each thing, by the name that events give it.
    totals: BTreeMap<String, Total>,
    /// The same for entities, and for the session under the empty name. These are reported more rarely.
    own: BTreeMap<String, Total>,
    /// What had been used when each run began that has not ended.
    runs: BTreeMap<String, Begun>,
}

/// The name under which what exceeds the limit on names is counted together.
pub const OTHERS: &str = "(others)";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Total {
    position: u64,
    values: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Begun {
    position: u64,
    sums: BTreeMap<String, f64>,
}

impl Resource {
    /// What a branch has used up to any event of it, with the roles of this catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self::with(Roles::new(catalogue))
    }

    /// What a session has used, from the events of all its branches, each once. A total or a run's sum counts as far as
    /// it exceeds what was reported before on any branch, so with forks it can be too low:
    /// [`Board::spent`](super::Board::spent) goes by branches.
    #[must_use]
    pub fn of_sessions(catalogue: &Catalogue) -> Self {
        Self::over_sessions(Roles::new(catalogue))
    }

    pub(super) fn with(roles: Arc<Roles>) -> Self {
        Self { roles, scope: Scope::Branch }
    }

    pub(super) fn over_sessions(roles: Arc<Roles>) -> Self {
        Self { roles, scope: Scope::Session }
    }
}

impl Projection for Resource {
    type State = Used;

    fn name(&self) -> &str {
        if self.scope == Scope::Session { "session_resource" } else { "resource" }
    }

    fn shape(&self) -> u64 {
        self.roles.shape()
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn apply(&self, used: &mut Used, event: &Event) -> Result<(), ApplyError> {
        let runs = |role: &Role| {
            role.has_phase() && role.entity.as_ref().is_some_and(|e| self.roles.sums_up(&e.kind))
        };
        let Some(role_reading) = self.roles.read(event, |role| !role.usage.is_empty() || runs(role)) else {
            return Ok(());
        };
        used.take(event, &role_reading, runs(&role_reading.role));
        Ok(())
    }
}

/// The measures into which tokens of an unspecified kind may be split by a later report, or the other way round.
const SPLIT_TOKENS: [&str; 2] = ["input_tokens", "output_tokens"];

impl Used {
    /// The sum of a measure; 0 for one that was never reported.
    #[must_use]
    pub fn sum(&self, measure: &str) -> f64 {
        self.measures.get(measure).map_or(0.0, |amount| amount.sum)
    }

    /// Tokens read, written, and unspecified, without those of a cache.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        self.sum("input_tokens") + self.sum("output_tokens") + self.sum("tokens")
    }

    /// Adds what a branch has used by itself: all that was used in it without what it inherits.
    pub(super) fn add_own(&mut self, all: &Self, inherited: &Self) {
        let none = Amounts::new();
        add(&mut self.measures, &all.measures, &inherited.measures);
        for (name, amounts) in &all.providers {
            let before = inherited.providers.get(name).unwrap_or(&none);
            add(named(&mut self.providers, name.clone()), amounts, before);
        }
        for (name, amounts) in &all.models {
            let before = inherited.models.get(name).unwrap_or(&none);
            add(named(&mut self.models, name.clone()), amounts, before);
        }
    }

    fn take(&mut self, event: &Event, role_reading: &RoleReading, is_run: bool) {
        let position = event.position().get();
        let phase = role_reading.role.phase(&role_reading.data).filter(|_| is_run);
        let run = format!("{}/{}", role_reading.about.kind, role_reading.about.id);
        if phase.is_some_and(|phase| !phase.is_final()) && !self.runs.contains_key(&run) {
            let sums = self.measures.iter().map(|(name, amount)| (name.clone(), amount.sum)).collect();
            self.runs.insert(run.clone(), Begun { position, sums });
            drop_oldest(&mut self.runs, RESOURCE_RUNS, |begun| begun.position);
        }
        let mut unspecified = self.since(&run, Measure::Tokens.as_str());
        for figure in &role_reading.role.usage {
            self.figure(figure, role_reading, event, &run, &mut unspecified);
        }
        if phase.is_some_and(crate::event::Phase::is_final) {
            self.runs.remove(&run);
        }
    }

    /// What was used of a measure since a run began.
    fn since(&self, run: &str, measure: &str) -> f64 {
        let before = self.runs.get(run).and_then(|begun| begun.sums.get(measure));
        self.sum(measure) - before.copied().unwrap_or_default()
    }

    fn figure(
        &mut self,
        figure: &Figure,
        role_reading: &RoleReading,
        event: &Event,
        run: &str,
        unspecified: &mut f64,
    ) {
        let measure = figure.what.as_str();
        let mut summed: f64 = 0.0;
        let mut pieces = self.since(run, measure);
        if figure.mode == Mode::Sum && figure.what == Measure::Tokens {
            pieces += SPLIT_TOKENS.iter().map(|name| self.since(run, name)).sum::<f64>();
        }
        for reading in figure.read(&role_reading.data) {
            if !reading.value.is_finite() {
                continue;
            }
            let (amount, is_first) = match figure.mode {
                Mode::Gauge | Mode::Delta => (reading.value, true),
                Mode::Total => {
                    // Of the entity, unless the event names something else; of the session, if the entity has no id.
                    let own = if role_reading.about.id.is_empty() { "" } else { run };
                    let position = event.position().get();
                    match reading.of.as_deref() {
                        Some("") => (reading.value, true),
                        Some(name) => beyond(&mut self.totals, name, measure, reading.value, position),
                        None => beyond(&mut self.own, own, measure, reading.value, position),
                    }
                }
                Mode::Sum => {
                    // Several readings are the parts of one sum: what was already reported is subtracted from the
                    // first of them.
                    let known = (pieces - summed).clamp(0.0, reading.value.max(0.0));
                    summed += known;
                    let mut amount = reading.value - known;
                    if SPLIT_TOKENS.contains(&measure) {
                        let already_counted = amount.clamp(0.0, unspecified.max(0.0));
                        *unspecified -= already_counted;
                        amount -= already_counted;
                    }
                    (amount, false)
                }
            };
            if amount == 0.0 && !is_first {
                continue;
            }
            let time = event.occurred();
            enter(&mut self.measures, measure, amount, time);
            if let Some(name) = reading.provider {
                enter(named(&mut self.providers, name), measure, amount, time);
            }
            if let Some(name) = reading.model {
                enter(named(&mut self.models, name), measure, amount, time);
            }
        }
    }
}

/// How far a total exceeds what the same thing reported before, and whether this is its first report.
fn beyond(
    all: &mut BTreeMap<String, Total>,
    of: &str,
    measure: &str,
    value: f64,
    position: u64,
) -> (f64, bool) {
    let total = all.entry(clip(of.to_owned())).or_default();
    total.position = position;
    let before = total.values.insert(measure.to_owned(), value);
    drop_oldest(all, RESOURCE_TOTALS, |total| total.position);
    (value - before.unwrap_or_default(), before.is_none())
}

fn enter(amounts: &mut Amounts, measure: &str, amount: f64, time: Timestamp) {
    let entry = match amounts.get_mut(measure) {
        Some(entry) => entry,
        None => amounts.entry(measure.to_owned()).or_default(),
    };
    if amount < 0.0 && entry.count > 0 {
        entry.correct(amount);
    } else {
        entry.add(amount, time);
    }
}

fn add(to: &mut Amounts, all: &Amounts, inherited: &Amounts) {
    for (measure, amount) in all {
        let own = amount.without(inherited.get(measure));
        if own.count > 0 || own.sum != 0.0 {
            to.entry(measure.clone()).or_default().join(&own);
        }
    }
}

fn named(all: &mut BTreeMap<String, Amounts>, name: String) -> &mut Amounts {
    let name = clip(name);
    let is_new = !all.contains_key(&name);
    let name = if is_new && all.len() >= RESOURCE_NAMES { OTHERS.to_owned() } else { name };
    all.entry(name).or_default()
}

fn drop_oldest<V>(all: &mut BTreeMap<String, V>, most: usize, position: impl Fn(&V) -> u64) {
    if all.len() > most {
        // The session's own total stays: it is only one, however rarely it is reported.
        let oldest = all
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .min_by_key(|(_, v)| position(v))
            .map(|(name, _)| name.clone());
        oldest.map(|name| all.remove(&name));
    }
}
