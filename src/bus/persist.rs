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

/// The types of a rule.
#[derive(Clone, Debug)]
enum RuleTypes {
    /// Those whose recorded name matches. What is not recorded is lost, so no rule guesses at other names.
    Named(Pattern),
    /// These, and their aliases.
    WithAliases(Filter),
}

impl RuleTypes {
    fn take(&self, kind: &str) -> bool {
        match self {
            Self::Named(pattern) => pattern.matches(kind),
            Self::WithAliases(filter) => filter.takes_kind(kind),
        }
    }
}

/// The persistence rules by type. The last matching rule counts.
#[derive(Clone, Debug, Default)]
pub(super) struct PersistRules(Vec<(RuleTypes, Persistence)>);

impl PersistRules {
    /// A rule for the types whose name matches.
    pub(super) fn add(&mut self, pattern: Pattern, persistence: Persistence) -> Result<()> {
        self.push(RuleTypes::Named(pattern), persistence)
    }

    /// A rule for these types under each of their names.
    pub(super) fn add_with_aliases(&mut self, pattern: Pattern, persistence: Persistence) -> Result<()> {
        self.push(RuleTypes::WithAliases(Filter::new().pattern(pattern)), persistence)
    }

    fn push(&mut self, types: RuleTypes, persistence: Persistence) -> Result<()> {
        if self.0.len() >= MAX_PERSIST_RULES {
            let reason = format!("is one too many: the limit is {MAX_PERSIST_RULES} rules");
            return Err(Invalid::new("persist", reason).into());
        }
        self.0.push((types, persistence));
        Ok(())
    }

    /// The same with the aliases that a store's catalogue has.
    pub(super) fn resolved_in(self, catalogue: &Catalogue) -> Self {
        let resolved = |types| match types {
            RuleTypes::WithAliases(filter) => RuleTypes::WithAliases(filter.resolved_in(catalogue)),
            named => named,
        };
        Self(self.0.into_iter().map(|(types, how)| (resolved(types), how)).collect())
    }

    pub(super) fn of(&self, kind: &str) -> Option<Persistence> {
        self.0.iter().rev().find(|(types, _)| types.take(kind)).map(|(_, persistence)| *persistence)
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
        let mut rules = PersistRules::default();
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

    #[test]
    fn a_rule_takes_what_it_names_and_aliases_only_where_they_were_asked_for() {
        let mut rules = PersistRules::default();
        rules.add("task.progress".parse().unwrap(), Persistence::Ephemeral).unwrap();
        rules.add("coder.*".parse().unwrap(), Persistence::Ephemeral).unwrap();
        let rules = rules.resolved_in(Catalogue::builtin());
        for (alias, of) in [("task_updated", "task.progress"), ("rate_limit", "coder.rate_limited")] {
            assert_eq!(Catalogue::builtin().find(alias).map(|t| t.name()), Some(of));
            assert_eq!((rules.of(of), rules.of(alias)), (Some(Persistence::Ephemeral), None));
        }
        let mut rules = PersistRules::default();
        rules.add_with_aliases("task.progress".parse().unwrap(), Persistence::Ephemeral).unwrap();
        let rules = rules.resolved_in(Catalogue::builtin());
        assert_eq!(rules.of("task_updated"), Some(Persistence::Ephemeral));
        assert_eq!(rules.of("task.completed"), None);
    }
}
