use serde::Serialize;

use crate::agents::projections::Covered;
use crate::event::Timestamp;

/// How often a type was emitted, as JSON.
#[derive(Debug, Serialize)]
pub struct TypeCoverage<'a> {
    name: &'a str,
    /// Whether the catalogue has it.
    known: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

impl<'a> TypeCoverage<'a> {
    /// One row; `known` if the catalogue has the type.
    #[must_use]
    pub fn new(covered: &'a Covered, known: bool) -> Self {
        let text = |time: Option<Timestamp>| time.map(|t| t.to_string());
        let Covered { name, domain, events, first, last, .. } = covered;
        Self { name, known, domain, events: *events, first: text(*first), last: text(*last) }
    }
}
