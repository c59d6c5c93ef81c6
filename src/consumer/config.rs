//! The settings of a consumer.

use std::time::Duration;

use crate::codec::SettingsRow;
use crate::delivery::{DeliverySettings, Rules};
use crate::error::{Error, Result};
use crate::event::{Catalogue, Filter, Invalid, Pattern, Position, SessionId, Timestamp};
use crate::follow::{Cursor, Follow};
use crate::limits::{
    DEFAULT_IN_FLIGHT, DEFAULT_LETTERS, MAX_CONSUMER_LANES, MAX_CONSUMER_PATTERNS, MAX_DEAD_LETTERS,
    MAX_IN_FLIGHT,
};
use crate::sync::time::micros;

/// The settings of a durable consumer. All but the start are stored with it, and have to be the same when it is
/// opened again.
///
/// ```
/// use std::time::Duration;
/// use retold::ConsumerConfig;
/// let config = ConsumerConfig::new()
///     .pattern("tool.**".parse()?)
///     .except("tool.output".parse()?)
///     .deadline(Duration::from_secs(60))
///     .max_deliveries(3);
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ConsumerConfig {
    pub(super) begin: Begin,
    pub(super) session: Option<SessionId>,
    pub(super) types: Vec<Pattern>,
    pub(super) except: Vec<Pattern>,
    pub(super) priority: u8,
    pub(super) delivery: DeliverySettings,
    pub(super) max_in_flight: usize,
    pub(super) max_dead_letters: usize,
}

/// Where a new consumer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Start,
    End,
    After(Position),
    Since(Timestamp),
    Cursor(Cursor),
}

// What is not equal to itself is refused.
impl Eq for ConsumerConfig {}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            begin: Begin::Start,
            session: None,
            types: Vec::new(),
            except: Vec::new(),
            priority: 0,
            delivery: DeliverySettings::of_consumer(),
            max_in_flight: DEFAULT_IN_FLIGHT,
            max_dead_letters: DEFAULT_LETTERS,
        }
    }
}

impl ConsumerConfig {
    /// Every event of the store, from the first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events of this session, on all its branches.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an invalid name.
    pub fn session<S>(mut self, session: S) -> Result<Self>
    where
        S: TryInto<SessionId>,
        Error: From<S::Error>,
    {
        self.session = Some(session.try_into()?);
        Ok(self)
    }

    /// A new consumer starts with the first event. This is the default.
    pub fn from_start(mut self) -> Self {
        self.begin = Begin::Start;
        self
    }

    /// A new consumer starts with the next event that is committed.
    pub fn from_end(mut self) -> Self {
        self.begin = Begin::End;
        self
    }

    /// A new consumer starts after this position.
    pub fn after_position(mut self, position: impl Into<Position>) -> Self {
        self.begin = Begin::After(position.into());
        self
    }

    /// A new consumer starts with the first event recorded at or after this time. If the time is in the future, what
    /// is recorded until then is skipped.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.begin = Begin::Since(time);
        self
    }

    /// A new consumer starts at the cursor of a follower of everything, or of its session.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.begin = Begin::Cursor(cursor);
        self
    }

    /// Delivers events whose type matches this or another pattern. Without patterns, all types match.
    pub fn pattern(mut self, pattern: Pattern) -> Self {
        self.types.push(pattern);
        self
    }

    /// Skips events whose type matches this pattern.
    pub fn except(mut self, pattern: Pattern) -> Self {
        self.except.push(pattern);
        self
    }

    /// Delivers only events of at least this priority.
    pub fn priority_at_least(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// The ack deadline, after which an event is redelivered: 30 s by default, a millisecond to a week.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.delivery.deadline = deadline;
        self
    }

    /// How often an event is delivered before it becomes a dead letter: 5 by default.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.delivery.max_deliveries = deliveries;
        self
    }

    /// How many deliveries may be in flight at once, across all workers: 256 by default, at most 1,024.
    pub fn max_in_flight(mut self, events: usize) -> Self {
        self.max_in_flight = events;
        self
    }

    /// The backoff after an event's first failure, doubled for each further one up to `most`: one second and one
    /// minute by default.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.delivery.backoff, self.delivery.max_backoff) = (first, most);
        self
    }

    /// The initial and the maximum backoff.
    #[must_use]
    pub fn backoffs(&self) -> (Duration, Duration) {
        (self.delivery.backoff, self.delivery.max_backoff)
    }

    /// How many dead letters are kept: 10,000 by default, at most 100,000. When full, a new one replaces the oldest.
    pub fn max_dead_letters(mut self, dead_letters: usize) -> Self {
        self.max_dead_letters = dead_letters;
        self
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let no = |field, reason: String| Err(Invalid::new(field, reason));
        if self.types.len().max(self.except.len()) > MAX_CONSUMER_PATTERNS {
            return no("pattern", format!("has too many entries; the limit is {MAX_CONSUMER_PATTERNS}"));
        }
        self.delivery.check()?;
        if !(1..=MAX_IN_FLIGHT).contains(&self.max_in_flight) {
            return no("max_in_flight", format!("has to be 1 to {MAX_IN_FLIGHT}"));
        }
        if !(1..=MAX_DEAD_LETTERS).contains(&self.max_dead_letters) {
            return no("max_dead_letters", format!("has to be 1 to {MAX_DEAD_LETTERS}"));
        }
        Ok(())
    }

    /// The subscription from its start.
    pub(super) fn follow(&self) -> Follow {
        let follow = self.scope();
        match self.begin {
            Begin::Start => follow,
            Begin::End => follow.from_end(),
            Begin::After(position) => follow.after_position(position),
            Begin::Since(time) => follow.since(time),
            Begin::Cursor(cursor) => follow.cursor(cursor),
        }
    }

    /// The future time that it waits for.
    pub(super) fn waits_until(&self) -> Option<i64> {
        match self.begin {
            Begin::Since(time) if time > Timestamp::now() => Some(time.micros()),
            _ => None,
        }
    }

    /// The same from the beginning, unfiltered: it sees everything that it skips.
    pub(super) fn scope(&self) -> Follow {
        match self.session.clone().map(Follow::session::<SessionId>) {
            Some(Ok(follow)) => follow.raw(),
            _ => Follow::all().raw(),
        }
    }

    /// The filter, and its exceptions.
    pub(super) fn filters(&self, catalogue: &Catalogue) -> (Filter, Option<Filter>) {
        let add = |filter: Filter, pattern: &Pattern| filter.pattern_in(pattern.clone(), catalogue);
        let of = |patterns: &[Pattern]| patterns.iter().fold(Filter::new(), add);
        let except = (!self.except.is_empty()).then(|| of(&self.except));
        (of(&self.types).priority_at_least(self.priority), except)
    }

    pub(super) fn rules(&self) -> Rules {
        self.delivery.rules(self.max_in_flight, MAX_CONSUMER_LANES)
    }

    pub(super) fn to_row(&self) -> SettingsRow {
        let texts = |patterns: &[Pattern]| patterns.iter().map(Pattern::to_string).collect();
        SettingsRow {
            session: self.session.clone(),
            types: texts(&self.types),
            except: texts(&self.except),
            priority: self.priority,
            deadline: micros(self.delivery.deadline) as u64,
            max_deliveries: self.delivery.max_deliveries,
            max_in_flight: self.max_in_flight as u32,
            backoff: micros(self.delivery.backoff) as u64,
            max_backoff: micros(self.delivery.max_backoff) as u64,
            max_dead_letters: self.max_dead_letters as u32,
        }
    }

    pub(super) fn of_row(row: &SettingsRow) -> Result<Self, Invalid> {
        let patterns =
            |texts: &[String]| texts.iter().map(|t| Pattern::new(t)).collect::<Result<Vec<_>, _>>();
        let config = Self {
            begin: Begin::Start,
            session: row.session.clone(),
            types: patterns(&row.types)?,
            except: patterns(&row.except)?,
            priority: row.priority,
            delivery: DeliverySettings {
                deadline: Duration::from_micros(row.deadline),
                max_deliveries: row.max_deliveries,
                backoff: Duration::from_micros(row.backoff),
                max_backoff: Duration::from_micros(row.max_backoff),
                ..DeliverySettings::of_consumer()
            },
            max_in_flight: row.max_in_flight as usize,
            max_dead_letters: row.max_dead_letters as usize,
        };
        config.check()?;
        Ok(config)
    }

    /// Names and values as text, for people and for comparison. The start is not among them.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, String); 10] {
        let globs = |patterns: &[Pattern], without: &str| {
            let mut texts: Vec<String> = patterns.iter().map(Pattern::to_string).collect();
            texts.sort_unstable();
            if texts.is_empty() { without.to_owned() } else { texts.join(" ") }
        };
        let span = |d: Duration| if d.is_zero() { "0s".to_owned() } else { format!("{d:?}") };
        [
            ("session", self.session.as_ref().map_or_else(|| "all".to_owned(), SessionId::to_string)),
            ("pattern", globs(&self.types, "all")),
            ("except", globs(&self.except, "none")),
            ("priority", self.priority.to_string()),
            ("deadline", span(self.delivery.deadline)),
            ("max_deliveries", self.delivery.max_deliveries.to_string()),
            ("max_in_flight", self.max_in_flight.to_string()),
            ("backoff", span(self.delivery.backoff)),
            ("max_backoff", span(self.delivery.max_backoff)),
            ("max_dead_letters", self.max_dead_letters.to_string()),
        ]
    }

    /// The first setting that differs from another's.
    pub(super) fn same_as(&self, recorded: &Self, name: &str) -> Result<()> {
        for ((setting, asked), (_, recorded)) in self.settings().into_iter().zip(recorded.settings()) {
            if asked != recorded {
                return Err(Error::Differs {
                    what: "consumer",
                    name: name.to_owned(),
                    setting,
                    recorded,
                    asked,
                });
            }
        }
        Ok(())
    }
}
