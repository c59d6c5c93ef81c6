use super::{Event, Pattern, Timestamp};

/// Which events a reader takes. Empty takes all; every condition that is set has to hold.
///
/// Read, follow and every face use this one filter.
///
/// ```
/// use retold::Filter;
/// let tools = Filter::new().pattern("tool.**".parse()?).source("runner").meta("attempt", "2");
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Filter {
    patterns: Vec<Pattern>,
    source: Option<String>,
    actor: Option<String>,
    correlation: Option<String>,
    priority: u8,
    metadata: Vec<(String, String)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    /// Takes every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes events whose type matches this or another pattern of the filter.
    pub fn pattern(mut self, pattern: Pattern) -> Self {
        self.patterns.push(pattern);
        self
    }

    /// Takes events of exactly this source.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Takes events of exactly this actor.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Takes events of exactly this correlation.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    /// Takes events of at least this priority.
    pub fn priority_at_least(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Takes events whose metadata has this value under this key; more calls narrow further.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Takes events that occurred at this time or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Takes events that occurred before this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Whether it takes everything, so that asking is not needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it takes this event.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        self.takes_kind(event.kind()) && self.takes_but_kind(event)
    }

    /// Whether it takes events of this type, as far as that goes.
    #[must_use]
    pub fn takes_kind(&self, kind: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|p| p.matches(kind))
    }

    /// Whether it takes this event, whatever its type.
    pub(crate) fn takes_but_kind(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| match wanted {
            None => true,
            Some(w) => found == Some(w.as_str()),
        };
        event.priority() >= self.priority
            && self.since.is_none_or(|t| event.occurred() >= t)
            && self.until.is_none_or(|t| event.occurred() < t)
            && is(&self.source, event.source())
            && is(&self.actor, event.actor())
            && is(&self.correlation, event.correlation())
            && self.metadata.iter().all(|(k, v)| event.meta(k) == Some(v))
    }
}
