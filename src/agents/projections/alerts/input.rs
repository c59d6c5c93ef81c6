//! An event as the rules see it.

use std::sync::Arc;

use serde_json::Value;

use super::super::parsed::parsed;
use super::super::roles::clip;
use super::rule::By;
use crate::event::{Catalogue, Event, Measure, Phase, Role};

/// An event, read once for all rules.
pub(super) struct AlertInput<'a> {
    pub(super) event: &'a Event,
    pub(super) role: Option<&'a Role>,
    pub(super) payload: Arc<Value>,
    /// Kind and name of its entity.
    pub(super) entity: Option<(String, String)>,
    called: Option<String>,
    pub(super) phase: Option<Phase>,
}

impl<'a> AlertInput<'a> {
    /// `whole` if a rule looks into payloads of types that have no role.
    pub(super) fn new(catalogue: &'a Catalogue, event: &'a Event, whole: bool) -> Self {
        let role = catalogue.role(event.kind());
        // A payload that is not JSON counts as empty.
        let read = event.is_json() && (whole || role.is_some());
        let payload = if read { parsed(event) } else { Arc::default() };
        let of = role.and_then(|role| role.entity.as_ref());
        Self {
            event,
            entity: of.map(|e| (e.kind.clone(), clip(e.id(&payload, event.correlation())))),
            called: of.and_then(|e| e.name(&payload)).map(clip),
            phase: role.and_then(|role| role.phase(&payload)),
            role,
            payload,
        }
    }

    pub(super) fn fails(&self) -> bool {
        let counts = |role: &Role| role.usage.iter().any(|f| f.what == Measure::Errors && f.at.is_empty());
        self.phase == Some(Phase::Failed) || self.role.is_some_and(counts)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.role.and_then(|r| r.entity.as_ref()).is_some_and(|e| e.whole)
    }

    /// What the rule counts together.
    pub(super) fn key(&self, by: By) -> String {
        let Some((kind, id)) = self.entity.as_ref().filter(|_| by != By::Session) else {
            return String::new();
        };
        let called = self.called.as_ref().filter(|_| by == By::Name);
        format!("{kind} {}", called.unwrap_or(id)).trim_end().to_owned()
    }

    pub(super) fn why(&self) -> Option<String> {
        let role = self.role?;
        let why = role.error.text(&self.payload).or_else(|| role.reason.text(&self.payload));
        why.map(|why| first_line(&why))
    }
}

fn first_line(text: &str) -> String {
    const MOST: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
