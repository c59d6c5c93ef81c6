//! All cases, run against one engine.

use std::fmt;

use super::case::{Case, Stop};
use super::home::{Capability, Home};
use super::{
    append, closing, consumers, deleting, duplicates, durability, expiring, follow, forks, handles, leases,
    lifecycle, maintenance, order, projections, records, reopening, timers, truncating,
};

/// Every case, in the order of a run.
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
        leases::CASES,
        lifecycle::CASES,
        deleting::CASES,
        truncating::CASES,
        expiring::CASES,
        projections::CASES,
        handles::CASES,
        durability::CASES,
        closing::CASES,
        reopening::CASES,
        maintenance::CASES,
    ]
    .concat()
}

/// Runs every case against an engine and returns the outcomes. A failing case does not stop the others.
///
/// Where a case waits in a task, it waits for at most two minutes. If the engine blocks its thread forever, the suite
/// blocks too.
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

/// The outcomes of the cases, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conformance {
    /// Those that passed.
    pub passed: Vec<&'static str>,
    /// Those that need something the engine lacks.
    pub skipped: Vec<(&'static str, Capability)>,
    /// Those that failed, with the reason.
    pub failed: Vec<(&'static str, String)>,
}

impl Conformance {
    /// Whether no case failed.
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
