//! An entity of a timeline.

use crate::event::{Phase, Timestamp};

/// An entity and its phases.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lasting {
    /// Its kind.
    pub kind: String,
    /// Its id; empty for the unnamed one.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What tells it from others of its name: the command of a shell, the file that is read. Only a timeline that is
    /// [detailed](crate::project::Timeline::detailed) has it.
    pub detail: Option<String>,
    /// The entity that it is inside, as an index of [`Timeline::entities`](crate::project::Timeline::entities).
    pub parent: Option<usize>,
    /// Its phases in the order of their events. A final phase has no duration.
    pub spans: Vec<PhaseSpan>,
}

/// A phase of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseSpan {
    /// The phase.
    pub phase: Phase,
    /// Its start.
    pub from: Timestamp,
    /// Its end; for a phase that has not ended, the last event.
    pub to: Timestamp,
}

impl Lasting {
    pub(super) fn new(kind: String, id: String) -> Self {
        Self { kind, id, name: None, detail: None, parent: None, spans: Vec::new() }
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.spans.last().is_some_and(|span| !span.phase.is_final())
    }

    /// The phase in which it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<Phase> {
        self.spans.last().map(|s| s.phase).filter(|p| p.is_final())
    }

    /// When it first appeared.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.spans.first().map(|s| s.from).unwrap_or_default()
    }

    /// When it ended.
    #[must_use]
    pub fn to(&self) -> Timestamp {
        self.spans.last().map(|s| s.to).unwrap_or_default()
    }

    /// How long it lasted, in microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.to().micros().saturating_sub(self.from().micros())).unwrap_or_default()
    }

    /// The outcome of one of its phases: the next final phase, if there is one.
    #[must_use]
    pub fn outcome(&self, span: usize) -> Option<Phase> {
        self.spans.iter().skip(span).map(|s| s.phase).find(|p| p.is_final())
    }

    pub(super) fn enter(&mut self, phase: Phase, at: Timestamp) {
        let at = match self.spans.last_mut() {
            // Said again, or reached again while it lasts.
            Some(last) if last.phase == phase => {
                last.to = if phase.is_final() { last.to } else { at.max(last.to) };
                return;
            }
            Some(last) if !last.phase.is_final() => {
                // A clock that was set back makes a moment, never a span that ends before it begins.
                last.to = at.max(last.from);
                last.to
            }
            Some(last) => at.max(last.to),
            None => at,
        };
        self.spans.push(PhaseSpan { phase, from: at, to: at });
    }
}
