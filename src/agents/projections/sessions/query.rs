//! Which sessions a listing shows, and in which order.

use std::cmp::Ordering;

use super::mark::SessionMark;
use super::sort::SessionSort;
use super::wanted::{LabelTest, SessionStatus};
use crate::agents::projections::{Card, Figures};
use crate::event::{NamePattern, Timestamp};
use crate::store::SessionInfo;

/// Which sessions are listed, and in which order. All conditions have to hold.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SessionQuery {
    pub(super) sort: SessionSort,
    is_reverse: bool,
    by_recording: bool,
    status: Vec<SessionStatus>,
    labels: Vec<LabelTest>,
    title: Option<NamePattern>,
    pub(super) source: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) after: Option<SessionMark>,
    pub(super) limit: Option<usize>,
}

impl SessionQuery {
    /// All sessions: those in which something happened last come first.
    pub fn new() -> Self {
        Self::default()
    }

    /// What they are sorted by.
    pub fn sort(self, sort: SessionSort) -> Self {
        Self { sort, ..self }
    }

    /// The other way round.
    pub fn reverse(self) -> Self {
        Self { is_reverse: true, ..self }
    }

    /// Goes by when events were recorded, not by when they happened.
    pub fn recorded(self) -> Self {
        Self { by_recording: true, ..self }
    }

    /// Only sessions with this status; given more than once, with any of them.
    pub fn status(mut self, status: SessionStatus) -> Self {
        self.status.push(status);
        self
    }

    /// Only sessions with this label; given more than once, with all of them.
    pub fn label(mut self, label: LabelTest) -> Self {
        self.labels.push(label);
        self
    }

    /// Only sessions whose title matches.
    pub fn title(self, title: NamePattern) -> Self {
        Self { title: Some(title), ..self }
    }

    /// Only sessions with an event of this source.
    pub fn source(self, source: impl Into<String>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Only sessions in which something happened since.
    pub fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    /// Only those after this place.
    pub fn after(self, after: SessionMark) -> Self {
        Self { after: Some(after), ..self }
    }

    /// At most so many; all unless it is given.
    pub fn limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The store has its sessions in this order.
    pub(super) fn is_forward_by_name(&self) -> bool {
        self.sort == SessionSort::Name && !self.is_reverse
    }

    /// Whether a card is needed to know if a session is shown, and where.
    pub(super) fn needs_card(&self) -> bool {
        !self.status.is_empty() || !self.labels.is_empty() || self.title.is_some() || self.ranks_by_card()
    }

    pub(super) fn ranks_by_card(&self) -> bool {
        matches!(self.sort, SessionSort::Tokens | SessionSort::Cost | SessionSort::Errors)
    }

    /// Whether it has to be known when things happened.
    pub(super) fn needs_figures(&self) -> bool {
        self.ranks_by_happening() || (self.since.is_some() && !self.by_recording) || self.source.is_some()
    }

    pub(super) fn ranks_by_happening(&self) -> bool {
        !self.by_recording && matches!(self.sort, SessionSort::Last | SessionSort::Age)
    }

    /// When its first and its newest event happened, or were recorded.
    pub(super) fn times(
        &self,
        info: &SessionInfo,
        figures: Option<&Figures>,
    ) -> (Timestamp, Option<Timestamp>) {
        match figures.filter(|_| !self.by_recording) {
            Some(figures) => (figures.first.unwrap_or(info.created), figures.newest),
            None => (info.created, info.last),
        }
    }

    pub(super) fn takes(&self, card: &Card) -> bool {
        (self.status.is_empty() || self.status.iter().any(|status| status.takes(card)))
            && self.labels.iter().all(|label| label.takes(card))
            && self
                .title
                .as_ref()
                .is_none_or(|glob| card.title.as_deref().is_some_and(|title| glob.matches(title)))
    }

    /// Where a session is; `card` if it is ranked by what is on it.
    pub(super) fn mark(
        &self,
        info: &SessionInfo,
        (first, last): (Timestamp, Option<Timestamp>),
        card: Option<&Card>,
    ) -> SessionMark {
        let most = |of: fn(&Card) -> f64| card.map_or(0.0, |card| -of(card));
        // Microseconds since 1970 are exact in it until the year 2255.
        let micros = |time: Timestamp| time.micros() as f64;
        let rank = match self.sort {
            SessionSort::Last => last.map_or(f64::INFINITY, |last| -micros(last)),
            SessionSort::Tokens => most(|card| card.tokens),
            SessionSort::Cost => most(|card| card.cost_usd),
            SessionSort::Errors => most(|card| card.errors),
            SessionSort::Events => -(info.events as f64),
            SessionSort::Age => micros(first),
            SessionSort::Name => 0.0,
        };
        SessionMark::new(self.sort, rank, info.session.clone())
    }

    pub(super) fn compare(&self, a: &SessionMark, b: &SessionMark) -> Ordering {
        let order = a.compare(b);
        if self.is_reverse { order.reverse() } else { order }
    }
}
