//! Which sessions are listed, and in which order: as `retold ls` has it.

use std::cmp::Ordering;

use retold::agents::projections::{Board, Card, ConversationStatus, Figures};
use retold::error::{Error, Result};
use retold::event::{NamePattern, Phase, SessionId, Timestamp};
use retold::store::{SessionInfo, Store};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::input::invalid;
use crate::problem::Problem;

/// What sessions are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    #[default]
    Last,
    Tokens,
    Cost,
    Events,
    Errors,
    Age,
    Name,
}

/// The order of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    by: Sort,
    is_reverse: bool,
    by_recording: bool,
}

/// Where a session is in a list. Those with the same rank are in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    rank: f64,
    session: SessionId,
    is_reverse: bool,
}

impl Place {
    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let order =
            self.rank.total_cmp(&other.rank).then_with(|| self.session.as_str().cmp(other.session.as_str()));
        if self.is_reverse { order.reverse() } else { order }
    }
}

/// A session that is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    info: SessionInfo,
    place: Place,
    /// What was needed of it so far.
    card: Option<Card>,
}

impl Listed {
    pub(crate) fn is_after(&self, place: &Place) -> bool {
        self.place.cmp(place) == Ordering::Greater
    }

    pub(crate) fn card(self, board: &Board) -> Result<Card> {
        self.card.map_or_else(|| board.card(&self.info), Ok)
    }
}

impl Order {
    pub(crate) fn new(by: Sort, is_reverse: bool, by_recording: bool) -> Self {
        Self { by, is_reverse, by_recording }
    }

    pub(crate) fn is_by_name(self) -> bool {
        self.by == Sort::Name
    }

    /// Sessions come from the store in this order.
    pub(crate) fn is_forward_by_name(self) -> bool {
        self.is_by_name() && !self.is_reverse
    }

    /// The place of a session by its name alone.
    pub(crate) fn named(self, session: SessionId) -> Place {
        Place { rank: 0.0, session, is_reverse: self.is_reverse }
    }

    /// The place of a session, whether it is wanted or not.
    pub(crate) fn place(self, info: SessionInfo, board: &Board) -> Result<Place> {
        let card = if self.needs_card() { Some(board.card(&info)?) } else { None };
        let times = if self.needs_times() {
            Times::of(&board.figures(&info.session)?, &info)
        } else {
            Times::recorded(&info)
        };
        Ok(self.placed(&info, card.as_ref(), times))
    }

    fn placed(self, info: &SessionInfo, card: Option<&Card>, times: Times) -> Place {
        let most = |of: fn(&Card) -> f64| card.map_or(0.0, |card| -of(card));
        // Microseconds since 1970 are exact in it until the year 2255.
        let micros = |time: Timestamp| time.micros() as f64;
        let rank = match self.by {
            Sort::Last => times.last.map_or(f64::INFINITY, |last| -micros(last)),
            Sort::Tokens => most(|card| card.tokens),
            Sort::Cost => most(|card| card.cost_usd),
            Sort::Errors => most(|card| card.errors),
            Sort::Events => -(info.events as f64),
            Sort::Age => micros(times.first),
            Sort::Name => 0.0,
        };
        Place { rank, session: info.session.clone(), is_reverse: self.is_reverse }
    }

    fn needs_card(self) -> bool {
        matches!(self.by, Sort::Tokens | Sort::Cost | Sort::Errors)
    }

    fn needs_times(self) -> bool {
        !self.by_recording && matches!(self.by, Sort::Last | Sort::Age)
    }

    /// Leaves the first so many.
    pub(crate) fn first(self, found: &mut Vec<Listed>, count: usize) {
        found.sort_by(|a, b| a.place.cmp(&b.place));
        found.truncate(count);
    }
}

/// When the first and the newest event of a session happened, or were recorded.
#[derive(Clone, Copy, Debug)]
struct Times {
    first: Timestamp,
    last: Option<Timestamp>,
}

impl Times {
    fn recorded(info: &SessionInfo) -> Self {
        Self { first: info.created, last: info.last }
    }

    fn of(figures: &Figures, info: &SessionInfo) -> Self {
        Self { first: figures.first.unwrap_or(info.created), last: figures.newest }
    }
}

/// Which sessions are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Words of a status; `None` in it is that it is unknown.
    status: Vec<Option<&'static str>>,
    labels: Vec<(String, Option<String>)>,
    title: Option<NamePattern>,
    source: Option<String>,
    since: Option<Timestamp>,
}

impl Wanted {
    pub(crate) fn new(
        status: &[String],
        labels: &[String],
        title: Option<NamePattern>,
        source: Option<String>,
        since: Option<Timestamp>,
    ) -> Result<Self, Problem> {
        let status = status.iter().map(|word| status_of(word)).collect::<Result<_, _>>()?;
        let labels = labels.iter().map(|text| label_of(text)).collect::<Result<_, _>>()?;
        Ok(Self { status, labels, title, source, since })
    }

    /// The session with its place; `None` when it is not wanted, or was deleted meanwhile.
    pub(crate) fn listed(
        &self,
        info: SessionInfo,
        order: Order,
        board: &Board,
        store: &Store,
    ) -> Result<Option<Listed>> {
        let mut times = Times::recorded(&info);
        let needs_times = order.needs_times() || (self.since.is_some() && !order.by_recording);
        if needs_times || self.source.is_some() {
            let figures = match board.figures(&info.session) {
                Err(Error::NotFound { .. } | Error::Deleted { .. }) => return Ok(None),
                found => found?,
            };
            if let Some(source) = &self.source
                && !figures.has_source(store, &info.session, source)?
            {
                return Ok(None);
            }
            if needs_times {
                times = Times::of(&figures, &info);
            }
        }
        if self.since.is_some_and(|since| times.last < Some(since)) {
            return Ok(None);
        }
        let card = if self.needs_card() || order.needs_card() { Some(board.card(&info)?) } else { None };
        if card.as_ref().is_some_and(|card| !self.takes(card)) {
            return Ok(None);
        }
        let place = order.placed(&info, card.as_ref(), times);
        Ok(Some(Listed { info, place, card }))
    }

    fn needs_card(&self) -> bool {
        !self.status.is_empty() || !self.labels.is_empty() || self.title.is_some()
    }

    fn takes(&self, card: &Card) -> bool {
        let has = |(key, value): &(String, Option<String>)| {
            let known = card.labels.get(key);
            known.is_some_and(|known| value.as_ref().is_none_or(|value| value == known))
        };
        let is_titled = |glob: &NamePattern| card.title.as_deref().is_some_and(|title| glob.matches(title));
        (self.status.is_empty() || self.status.contains(&card.status()))
            && self.labels.iter().all(has)
            && self.title.as_ref().is_none_or(is_titled)
    }
}

fn status_of(word: &str) -> Result<Option<&'static str>, Problem> {
    let abandoned = ConversationStatus::Abandoned.as_str();
    match word {
        "none" => Ok(None),
        word if word == abandoned => Ok(Some(abandoned)),
        word => match Phase::of_word(word) {
            Some(phase) => Ok(Some(phase.as_str())),
            None => {
                let names = Phase::ALL.map(Phase::as_str).join(", ");
                Err(invalid("status", format!("`{word}` is not one of {names}, {abandoned}, none")))
            }
        },
    }
}

fn label_of(text: &str) -> Result<(String, Option<String>), Problem> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    match key {
        "" => Err(invalid("label", "has no key; write KEY or KEY=VALUE")),
        key => Ok((key.to_owned(), value)),
    }
}
