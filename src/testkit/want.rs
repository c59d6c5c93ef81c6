//! Queries of a store as plain values, which the model can answer too.

use crate::event::{Address, Filter, Invalid, NewEvent, Pattern, Place, Timestamp};
use crate::store::Query;

/// The content of a [`Filter`], with a simple implementation of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Globs over the type; empty for all.
    pub patterns: Vec<String>,
    /// The source.
    pub source: Option<String>,
    /// The actor.
    pub actor: Option<String>,
    /// The correlation.
    pub correlation: Option<String>,
    /// The lowest priority.
    pub priority: u8,
    /// Pairs of metadata.
    pub metadata: Vec<(String, String)>,
    /// The first time to include.
    pub since: Option<i64>,
    /// The first time to exclude.
    pub until: Option<i64>,
}

impl Want {
    /// The same as a filter of the store.
    ///
    /// # Errors
    /// [`Invalid`] for an invalid pattern.
    pub fn filter(&self) -> Result<Filter, Invalid> {
        let mut filter = Filter::new().priority_at_least(self.priority);
        for pattern in &self.patterns {
            filter = filter.pattern(Pattern::new(pattern)?);
        }
        if let Some(source) = &self.source {
            filter = filter.source(source);
        }
        if let Some(actor) = &self.actor {
            filter = filter.actor(actor);
        }
        if let Some(correlation) = &self.correlation {
            filter = filter.correlation(correlation);
        }
        for (key, value) in &self.metadata {
            filter = filter.meta(key, value);
        }
        if let Some(since) = self.since {
            filter = filter.since(Timestamp::from_micros(since));
        }
        if let Some(until) = self.until {
            filter = filter.until(Timestamp::from_micros(until));
        }
        Ok(filter)
    }

    /// Whether it matches this event.
    #[must_use]
    pub fn takes(&self, event: &NewEvent) -> bool {
        let kind: Vec<&str> = event.kind.split('.').collect();
        let any = |p: &String| matches(&p.split('.').collect::<Vec<_>>(), &kind);
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        let time = event.occurred.micros();
        (self.patterns.is_empty() || self.patterns.iter().any(any))
            && is(&self.source, &event.source)
            && is(&self.actor, &event.actor)
            && is(&self.correlation, &event.correlation)
            && event.priority >= self.priority
            && self.metadata.iter().all(|(k, v)| event.metadata.get(k) == Some(v))
            && self.since.is_none_or(|t| t <= time)
            && self.until.is_none_or(|t| time < t)
    }
}

/// The meaning of a glob, by exhaustive search.
fn matches(pattern: &[&str], kind: &[&str]) -> bool {
    match (pattern.split_first(), kind.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            matches(rest, kind) || kind.split_first().is_some_and(|(_, later)| matches(pattern, later))
        }
        (Some((part, rest)), Some((name, later))) => {
            part_matches(part.as_bytes(), name.as_bytes()) && matches(rest, later)
        }
        _ => false,
    }
}

fn part_matches(part: &[u8], name: &[u8]) -> bool {
    match (part.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            part_matches(rest, name) || name.split_first().is_some_and(|(_, later)| part_matches(part, later))
        }
        (Some((a, rest)), Some((b, later))) => a == b && part_matches(rest, later),
        _ => false,
    }
}

/// A read: of one branch, or of everything in global order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The branch; `None` for the whole store.
    pub place: Option<Place>,
    /// First sequence or position.
    pub from: u64,
    /// Last sequence or position.
    pub to: u64,
    /// The largest number of events.
    pub limit: Option<usize>,
    /// Whether the latest come first.
    pub reverse: bool,
    /// Which events to include.
    pub want: Want,
}

impl Ask {
    /// All events of a branch.
    #[must_use]
    pub fn branch(place: Place) -> Self {
        Self { place: Some(place), ..Self::all() }
    }

    /// All events of the store.
    #[must_use]
    pub fn all() -> Self {
        Self { place: None, from: 0, to: u64::MAX, limit: None, reverse: false, want: Want::default() }
    }

    /// The same as a query of the store.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::error::Error::Invalid) for an invalid pattern.
    pub fn query(&self) -> crate::error::Result<Query> {
        let mut query = match &self.place {
            Some(place) => Query::branch(Address::from(place.clone()))?,
            None => Query::all(),
        };
        query = query.from(self.from).to(self.to).filter(self.want.filter()?);
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        Ok(if self.reverse { query.reverse() } else { query })
    }
}
