//! All cases, run against one engine.

use std::fmt;

use super::case::{Case, Stop};
use super::home::{Capability, Home};
use super::{
    append, closing, consumers, duplicates, durability, follow, forks, handles, maintenance, order,
    projections, records, reopening, timers,
};

/// Every case, in the order in which they run.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        append::CASES,
        duplicates::CASES,
        forks::CASES,
        order::CASES,
        records::CASES,
        follow::CASES,
        consumers::CASES,
        timers::CASES,
        projections::CASES,
        handles::CASES,
        durability::CASES,
        closing::CASES,
        reopening::CASES,
        maintenance::CASES,
    ]
    .concat()
}

/// Runs every case against an engine, and says how each ended. A case that fails does not keep the others from running.
///
/// A case waits for what has to come for two minutes at the most, wherever it waits in a task. One whose thread is blocked
/// for ever by the engine blocks the suite.
pub fn run(home: &mut dyn Home) -> Conformance {
    let mut conformance = Conformance::default();
    for case in cases() {
        match case.run(home) {
            Ok(()) => conformance.passed.push(case.name),
            Err(Stop::Lacks(capability)) => conformance.skipped.push((case.name, capability)),
            Err(Stop::Failed(what)) => conformance.failed.push((case.name, what)),
        }
    }
    conformance
}

/// How the cases ended, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conformance {
    /// Those that passed.
    pub passed: Vec<&'static str>,
    /// Those that need what the engine cannot do.
    pub skipped: Vec<(&'static str, Capability)>,
    /// Those that failed, and what they said.
    pub failed: Vec<(&'static str, String)>,
}

impl Conformance {
    /// No case failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.passed.len(), self.skipped.len(), self.failed.len());
        write!(f, "{} cases passed, {} were skipped, {} failed", counts.0, counts.1, counts.2)?;
        for (name, capability) in &self.skipped {
            write!(f, "\nskipped, the engine has no {capability}: {name}")?;
        }
        for (name, what) in &self.failed {
            write!(f, "\nFAILED {name}: {what}")?;
        }
        Ok(())
    }
}
