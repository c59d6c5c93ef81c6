//! Alerts: events that ask for attention, raised by rules.

mod input;
mod rule;
mod stalled;
mod watch;

pub use rule::{By, Rule, When};
pub use watch::{Alert, LastAlert, Watch};

use crate::event::{Catalogue, Event, Invalid, NewEvent, Timestamp};
use crate::project::{ApplyError, Emit, Projection};
use rule::{Armed, armed};

/// Raises an event `alert.…` for what its rules detect, in the branch where it happened, with the event that
/// triggered it as its causation; exactly once, whatever is restarted or rebuilt.
///
/// Times are those at which events occurred. Silence is detected at the next event, or by [`Alerts::check_stalled`],
/// whichever comes first.
///
/// ```
/// use retold::event::payload::coder::Coder;
/// use retold::agents::projections::Alerts;
/// use retold::{Filter, Query, Store};
/// let store = Store::in_memory()?;
/// let alerts = store.project(Alerts::built_in())?;
/// store.append("run-7", Coder::new("coder-1").rate_limited("acme", "large-2", None))?;
/// alerts.catch_up()?;
/// let raised = Query::branch("run-7")?.filter(Filter::new().pattern("alert.*".parse()?));
/// let raised = store.events(raised)?.next().unwrap()?;
/// assert_eq!(raised.kind(), "alert.rate_limit");
/// assert_eq!(alerts.state("run-7")?.raised["rate_limit"], 1);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Alerts {
    name: String,
    rules: Vec<Armed>,
    catalogue: Catalogue,
}

impl Alerts {
    /// With the built-in rules, [`Rule::built_in`].
    #[must_use]
    pub fn built_in() -> Self {
        let rules = armed(Rule::built_in());
        debug_assert!(rules.is_ok(), "{rules:?}");
        Self {
            name: "alerts".to_owned(),
            rules: rules.unwrap_or_default(),
            catalogue: Catalogue::builtin().clone(),
        }
    }

    /// Only these rules, in a projection of this name. The program `retold` uses the name `alerts` for the built-in
    /// rules, so choose another one.
    ///
    /// # Errors
    /// [`Invalid`] for a rule without a meaning, and for too many rules.
    pub fn new(name: impl Into<String>, rules: impl IntoIterator<Item = Rule>) -> Result<Self, Invalid> {
        let rules = armed(rules.into_iter().collect())?;
        Ok(Self { name: name.into(), rules, catalogue: Catalogue::builtin().clone() })
    }

    /// The types whose roles it uses; the built-in ones by default.
    #[must_use]
    pub fn types(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = catalogue;
        self
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|armed| &armed.rule)
    }

    /// What tells an alert from others with the same cause. For a silence, every branch that shares the event before
    /// it may have an alert of its own.
    fn of(&self, alert: &Alert, place: &str) -> String {
        let rule = &alert.data.rule;
        let stalled = self.rules().any(|r| r.name == *rule && matches!(r.when, When::Stalled { .. }));
        if stalled { format!("{rule} {place}") } else { rule.clone() }
    }

    fn event(alert: &Alert) -> NewEvent {
        let data = serde_json::to_value(&alert.data).unwrap_or_default();
        NewEvent::new(alert.kind.clone())
            .data(data)
            .source("retold")
            .occurred(Timestamp::from_micros(alert.at))
    }
}

impl Projection for Alerts {
    type State = Watch;

    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> u64 {
        let rules: Vec<&Rule> = self.rules().collect();
        let own = self.catalogue.types().filter(|t| !t.is_built_in()).map(|t| (t.name(), t.role()));
        let text = serde_json::to_string(&(rules, own.collect::<Vec<_>>())).unwrap_or_default();
        // FNV-1a: the number has to stay the same in later releases.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    fn apply(&self, watch: &mut Watch, event: &Event) -> Result<(), ApplyError> {
        watch.take(&self.rules, &self.catalogue, event);
        Ok(())
    }

    fn reacts(&self) -> bool {
        true
    }

    fn react(&self, _: &Watch, watch: &Watch, event: &Event) -> Vec<Emit> {
        let place = event.place().to_string();
        let emit = |alert: &Alert| Emit::new(self.of(alert, &place), Self::event(alert)).because(alert.cause);
        watch.fresh.iter().map(emit).collect()
    }
}
