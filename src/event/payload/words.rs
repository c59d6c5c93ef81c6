//! Short words for the roles in the tables.
#![allow(dead_code, reason = "the tables that use the rest follow")]

use crate::event::{AlertKind, Entity, Figure, Measure, Mode, Phase, Pointers, ProgressRole, Role, Status};

/// Where an event says why, in our own payloads and in records of others.
const WHY: [&str; 4] = ["/reason", "/why", "/kind/reason", "/message"];
/// Where it says what went wrong.
const WRONG: [&str; 4] = ["/error", "/error/message", "/kind/error", "/message"];

/// Pointers of a table. Each is a literal, and a test reads them all.
pub(super) fn at(texts: &[&str]) -> Pointers {
    let pointers = Pointers::new(texts);
    debug_assert!(pointers.is_ok(), "{texts:?}: {pointers:?}");
    pointers.unwrap_or_default()
}

/// About an entity named at one of these.
pub(super) fn about(kind: &str, id: &[&str]) -> Role {
    Role { entity: Some(Entity { kind: kind.into(), id: at(id), whole: false }), ..Role::default() }
}

/// About an entity that stands for the session.
pub(super) fn whole(kind: &str, id: &[&str]) -> Role {
    Role { entity: Some(Entity { kind: kind.into(), id: at(id), whole: true }), ..Role::default() }
}

/// About the session itself, or about nothing that has a life.
pub(super) fn plain() -> Role {
    Role::default()
}

impl Role {
    pub(super) fn to(self, phase: Phase) -> Self {
        Self { fixed_phase: Some(phase), ..self }
    }

    pub(super) fn status(self, texts: &[&str]) -> Self {
        Self { status: Some(Status { at: at(texts), words: Default::default() }), ..self }
    }

    /// It says why, where it usually stands.
    pub(super) fn why(self) -> Self {
        Self { reason: at(&WHY), ..self }
    }

    pub(super) fn why_at(self, texts: &[&str]) -> Self {
        Self { reason: at(texts), ..self }
    }

    /// It says what went wrong, where it usually stands, and counts as a failure.
    pub(super) fn erred(self) -> Self {
        self.erred_at(&WRONG)
    }

    pub(super) fn erred_at(self, texts: &[&str]) -> Self {
        Self { error: at(texts), ..self }.figure(Measure::Errors, Mode::Delta, &[])
    }

    pub(super) fn by(self, texts: &[&str]) -> Self {
        Self { by: at(texts), ..self }
    }

    pub(super) fn advances(self, progress: ProgressRole) -> Self {
        Self { progress: Some(progress), ..self }
    }

    pub(super) fn figure(mut self, what: Measure, mode: Mode, texts: &[&str]) -> Self {
        let none = Pointers::default;
        self.usage.push(Figure {
            what,
            at: at(texts),
            mode,
            of: none(),
            unless: none(),
            provider: none(),
            model: none(),
        });
        self
    }

    /// The last figure says nothing when one of these is there.
    pub(super) fn unless(mut self, texts: &[&str]) -> Self {
        if let Some(figure) = self.usage.last_mut() {
            figure.unless = at(texts);
        }
        self
    }

    pub(super) fn alerts(self, alert: AlertKind) -> Self {
        Self { alert: Some(alert), ..self }
    }

    /// The totals so far are each of what is named there.
    pub(super) fn each_of(mut self, texts: &[&str]) -> Self {
        for figure in self.usage.iter_mut().filter(|f| f.mode == Mode::Total) {
            figure.of = at(texts);
        }
        self
    }

    /// All figures so far say their provider and model there.
    pub(super) fn models(mut self, provider: &[&str], model: &[&str]) -> Self {
        for figure in &mut self.usage {
            (figure.provider, figure.model) = (at(provider), at(model));
        }
        self
    }
}
