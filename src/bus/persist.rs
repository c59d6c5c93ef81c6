use crate::error::Result;
use crate::event::{Catalogue, Filter, Invalid, Pattern};
use crate::limits::MAX_PERSIST_RULES;
use crate::store::Durability;

/// The persistence of a published event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// Recorded, and acknowledged after the sync: survives a crash or a power cut.
    Durable,
    /// Recorded, and acknowledged before the sync: a crash may lose it, with everything after it.
    Relaxed,
    /// Never recorded: delivered to the handlers and listeners that exist at this moment, and forgotten. It has no
    /// sequence and no position.
    Ephemeral,
}

/// The durability of events that are appended together: durable if any of them asks for it, relaxed if all do, otherwise the store's default.
pub(super) fn durability(asked: &[Option<Persistence>]) -> Option<Durability> {
    if asked.contains(&Some(Persistence::Durable)) {
        return Some(Durability::Durable);
    }
    let relaxed = !asked.is_empty() && asked.iter().all(|p| *p == Some(Persistence::Relaxed));
    relaxed.then_some(Durability::Relaxed)
}

/// The persistence rules by type. The last matching rule counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<(Filter, Persistence)>);

impl Rules {
    pub(super) fn add(&mut self, pattern: Pattern, persistence: Persistence) -> Result<()> {
        if self.0.len() >= MAX_PERSIST_RULES {
            let reason = format!("is one too many: the limit is {MAX_PERSIST_RULES} rules");
            return Err(Invalid::new("persist", reason).into());
        }
        self.0.push((Filter::new().pattern(pattern), persistence));
        Ok(())
    }

    /// The same with the names that a store's catalogue has.
    pub(super) fn resolved_in(self, catalogue: &Catalogue) -> Self {
        Self(self.0.into_iter().map(|(filter, how)| (filter.resolved_in(catalogue), how)).collect())
    }

    pub(super) fn of(&self, kind: &str) -> Option<Persistence> {
        self.0.iter().rev().find(|(filter, _)| filter.takes_kind(kind)).map(|(_, persistence)| *persistence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_durability_has_it_for_its_neighbours_too() {
        let (durable, relaxed) = (Some(Persistence::Durable), Some(Persistence::Relaxed));
        assert_eq!(durability(&[relaxed, durable, None]), Some(Durability::Durable));
        assert_eq!(durability(&[relaxed, relaxed]), Some(Durability::Relaxed));
        assert_eq!(durability(&[relaxed, None]), None);
        assert_eq!(durability(&[]), None);
    }

    #[test]
    fn the_last_rule_that_matches_counts() {
        let mut rules = Rules::default();
        for (glob, persistence) in [
            ("ui.**", Persistence::Ephemeral),
            ("ui.saved", Persistence::Durable),
            ("tool.progress", Persistence::Relaxed),
        ] {
            rules.add(glob.parse().unwrap(), persistence).unwrap();
        }
        assert_eq!(rules.of("ui.moved"), Some(Persistence::Ephemeral));
        assert_eq!(rules.of("ui.saved"), Some(Persistence::Durable));
        assert_eq!(rules.of("tool.progress"), Some(Persistence::Relaxed));
        assert_eq!(rules.of("run.started"), None);
    }
}
