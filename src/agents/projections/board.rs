//! Sessions at a glance: what the built-in projections know about each, side by side.

use std::collections::BTreeMap;

use serde::Serialize;

use super::roles::Roles;
use super::spent::Spending;
use super::{
    Annotated, Annotations, Conversation, ConversationState, ConversationStatus, Figures, Lifecycle, Lives,
    Progress, Resource, Stats, Tracks, Used,
};
use crate::error::{Error, Result};
use crate::event::{Address, Catalogue, Phase, Sequence, SessionId, Timestamp};
use crate::project::Projected;
use crate::store::{SessionInfo, Store, StoreHandle};

/// Microseconds between the first event and its recording from which on a session counts as imported.
const IMPORT_LAG: i64 = 3_600_000_000;

/// Lifecycle, progress and resources of every session of a store.
///
/// ```
/// use retold::event::{Catalogue, Phase};
/// use retold::agents::projections::Board;
/// use retold::{NewEvent, Store};
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("run.started"))?;
/// let board = Board::new(&store, Catalogue::builtin())?;
/// let cards = store.sessions(None, 10)?.iter().map(|info| board.card(info)).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(cards[0].phase, Some(Phase::Running));
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Board {
    lifecycle: Projected<Lives>,
    conversation: Projected<ConversationState>,
    progress: Projected<Tracks>,
    resource: Projected<Used>,
    pub(super) stats: Projected<Figures>,
    annotations: Projected<Annotated>,
    /// For sums over branches.
    fold: Resource,
    store: StoreHandle,
}

/// What is known about a branch, all at the same sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Glance {
    /// Its lifecycle, and that of its entities.
    pub lifecycle: Lives,
    /// What it is about, and where its conversation stands.
    pub conversation: ConversationState,
    /// Its progress.
    pub progress: Tracks,
    /// What it has used.
    pub resource: Used,
}

/// One session in a list: what its current branch is doing, and what the whole session has used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Card {
    /// What the store knows about it. Its `last` is when something last happened in it: labels and notes that were
    /// added later do not count.
    pub info: SessionInfo,
    /// What it is about: the title that it was given, or its first prompt.
    pub title: Option<String>,
    /// When its first event happened, over all branches: earlier than when it was recorded, for an imported session.
    pub first: Option<Timestamp>,
    /// When its newest event happened.
    pub last: Option<Timestamp>,
    /// Its phase; `None` before any lifecycle event.
    pub phase: Option<Phase>,
    /// Where its conversation stands, if no event but its creation says in which phase it is.
    pub standing: Option<ConversationStatus>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The reason, or the error.
    pub why: Option<String>,
    /// Its progress, 0 to 1.
    pub fraction: Option<f64>,
    /// Microseconds left after its last report of progress, at its rate.
    pub left_us: Option<u64>,
    /// Tokens read and written, over all branches as in [`Board::spent`]. The same holds for cost and errors.
    pub tokens: f64,
    /// US dollars.
    pub cost_usd: f64,
    /// Failures.
    pub errors: f64,
    /// Its labels: values by key.
    pub labels: BTreeMap<String, String>,
}

impl Card {
    /// Its phase in a word, or where its conversation stands if that says more.
    #[must_use]
    pub fn status(&self) -> Option<&'static str> {
        self.standing.map(ConversationStatus::as_str).or_else(|| self.phase.map(Phase::as_str))
    }
}

impl Board {
    /// Registers the projections with the roles of this catalogue.
    ///
    /// # Errors
    /// As [`Store::project`].
    pub fn new(store: &Store, catalogue: &Catalogue) -> Result<Self> {
        let roles = Roles::new(catalogue);
        Ok(Self {
            lifecycle: store.project(Lifecycle::with(roles.clone()))?,
            conversation: store.project(Conversation::with(roles.clone()))?,
            progress: store.project(Progress::with(roles.clone()))?,
            stats: store.project(Stats::of_sessions())?,
            resource: store.project(Resource::with(roles.clone()))?,
            fold: Resource::with(roles),
            annotations: store.project(Annotations)?,
            store: store.handle(),
        })
    }

    /// Everything about a branch, after the event that the address names or at its current head.
    ///
    /// # Errors
    /// As [`Projected::state`].
    pub fn glance(&self, address: &Address) -> Result<Glance> {
        let lives = self.lifecycle.read(address.clone())?;
        // The others are read at the same sequence, whatever is appended meanwhile.
        let at = Address::from(address.place().clone()).at(Sequence::new(lives.at));
        Ok(Glance {
            lifecycle: lives.state,
            conversation: self.conversation.state(at.clone())?,
            progress: self.progress.state(at.clone())?,
            resource: self.resource.state(at)?,
        })
    }

    /// What a session has used over all its branches. Every event that a branch shows counts once, whoever owns it and however
    /// many branches show it, whether its own branch is deleted or not; copies that were promoted are the same event. A total or
    /// a run's sum that is reported on a fork counts as far as it exceeds what the fork inherits.
    ///
    /// # Errors
    /// As [`Projected::state`].
    pub fn spent(&self, session: &SessionId) -> Result<Used> {
        let reader = self.store.reader()?;
        let branches = reader.ends_of(session)?;
        if branches.is_empty() {
            return Err(self.store.identity().not_found("session", session));
        }
        Spending { reader: &reader, resource: &self.resource, fold: &self.fold }.of(&branches)
    }

    /// The labels of a session and the notes on it.
    ///
    /// # Errors
    /// As [`Projected::state`].
    pub fn annotated(&self, session: &SessionId) -> Result<Annotated> {
        self.annotations.state(session.as_str())?.shown(&self.store.reader()?, session)
    }

    /// When the latest event was recorded in a branch other than that of annotations.
    fn last_happened(&self, session: &SessionId) -> Result<Option<Timestamp>> {
        let branches = self.store.reader()?.infos_of(session)?;
        let others = branches.iter().filter(|b| b.place.branch.as_str() != Annotations::BRANCH);
        Ok(others.filter_map(|b| b.last).max())
    }

    /// The counts of a session over all its branches, and when its events happened. It costs less than a [card](Self::card).
    ///
    /// # Errors
    /// As [`Projected::state`].
    pub fn figures(&self, session: &SessionId) -> Result<Figures> {
        self.stats.state(session.as_str())
    }

    /// The card of a session.
    ///
    /// # Errors
    /// As [`Projected::state`]. What is deleted, truncated or cannot be folded is left out of the card.
    pub fn card(&self, info: &SessionInfo) -> Result<Card> {
        let shown = Address::new(info.session.clone(), info.current.clone());
        let (glance, is_all) = match self.glance(&shown) {
            // Of what is left, each part for itself: one session must not hide the others.
            Err(e) if is_gone(&e) => {
                let glance = Glance {
                    lifecycle: or_nothing(self.lifecycle.state(shown.clone()))?,
                    conversation: or_nothing(self.conversation.state(shown.clone()))?,
                    progress: or_nothing(self.progress.state(shown.clone()))?,
                    resource: or_nothing(self.resource.state(shown))?,
                };
                (glance, false)
            }
            found => (found?, info.branches == 1),
        };
        let spent = if is_all { glance.resource.clone() } else { or_nothing(self.spent(&info.session))? };
        let annotated = or_nothing(self.annotated(&info.session))?;
        let mut info = info.clone();
        if !annotated.is_empty() {
            info.last = self.last_happened(&info.session)?;
        }
        let figures = or_nothing(self.figures(&info.session))?;
        let was_imported =
            figures.first.is_some_and(|first| first.micros() < info.created.micros() - IMPORT_LAG);
        let status = || glance.conversation.status(Timestamp::now());
        let standing = match glance.lifecycle.session.phase {
            None | Some(Phase::Created) => status(),
            // Its program has not said how it ended, and says nothing more.
            Some(Phase::Running) if was_imported => status().filter(|s| *s == ConversationStatus::Abandoned),
            Some(_) => None,
        };
        let life = glance.lifecycle.session;
        let track = glance.progress.session.unwrap_or_default();
        Ok(Card {
            info,
            title: glance.conversation.title().map(str::to_owned),
            first: figures.first,
            last: figures.newest,
            phase: life.phase,
            standing,
            since: life.phase.map(|_| life.since),
            why: life.error.or(life.reason),
            fraction: track.fraction,
            left_us: track.left_us,
            tokens: spent.tokens(),
            cost_usd: spent.sum("cost_usd"),
            errors: spent.sum("errors"),
            labels: annotated.labels.into_iter().map(|(key, label)| (key, label.value)).collect(),
        })
    }
}

/// Whether the events of a state are gone, or one of them cannot be folded.
fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. } | Error::Deleted { .. } | Error::Truncated { .. } | Error::Parked { .. }
    )
}

fn or_nothing<T: Default>(found: Result<T>) -> Result<T> {
    match found {
        Err(e) if is_gone(&e) => Ok(T::default()),
        found => found,
    }
}
