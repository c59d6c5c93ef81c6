use super::{Catalogue, Event, Pattern, PayloadTest, PayloadView, Record, Timestamp, payload_test};

/// Which events a reader wants. An empty filter matches all events; every condition that is set has to hold.
///
/// Reading, following, consumers, handlers and every front end use this one filter.
///
/// ```
/// use retold::Filter;
/// let tools = Filter::new().pattern("tool.**".parse()?).source("runner").meta("attempt", "2");
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Filter {
    patterns: Vec<Wanted>,
    /// Other names of the types that the patterns match, sorted.
    also: Vec<Box<str>>,
    /// A bit for each of `also`, so that nearly all other types are ruled out without a search.
    also_marks: u128,
    source: Option<String>,
    actor: Option<String>,
    correlation: Option<String>,
    priority: u8,
    /// `None` for any.
    highest_priority: Option<u8>,
    metadata: Vec<(String, String)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    payload: Vec<PayloadTest>,
}

/// A pattern and the other names of the types it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    pattern: Pattern,
    also: Vec<Box<str>>,
    /// The catalogue was given explicitly, so the store's is not used.
    resolved: bool,
}

impl Wanted {
    fn new(pattern: Pattern, catalogue: &Catalogue, resolved: bool) -> Self {
        let also = catalogue.other_names(&pattern).map(Box::from).collect();
        Self { pattern, also, resolved }
    }
}

impl Filter {
    /// Matches every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches events whose type matches this or another pattern of the filter, by the recorded name or an alias:
    /// `coder.*` also matches `coder_started`, and `coder_started` matches `coder.started`. The aliases come from the
    /// catalogue of the store that is read ([`Builder::types`](crate::Builder::types)); until then, from the built-in
    /// one.
    ///
    /// ```
    /// use retold::event::{Catalogue, TypeSpec};
    /// use retold::{Filter, NewEvent, Query, Store};
    /// let types = Catalogue::builtin().with([TypeSpec::named("parcel.shipped").alias("sent")])?;
    /// let store = Store::builder().types(types).in_memory()?;
    /// store.append("p-7", NewEvent::new("sent"))?;
    /// let shipped = Filter::new().pattern("parcel.*".parse()?);
    /// assert_eq!(store.read(&Query::branch("p-7")?.filter(shipped))?.events.len(), 1);
    /// # Ok::<(), retold::Error>(())
    /// ```
    pub fn pattern(self, pattern: Pattern) -> Self {
        self.wanted(Wanted::new(pattern, Catalogue::builtin(), false))
    }

    /// Like [`Filter::pattern`], with the aliases of this catalogue instead of the store's.
    pub fn pattern_in(self, pattern: Pattern, catalogue: &Catalogue) -> Self {
        self.wanted(Wanted::new(pattern, catalogue, true))
    }

    fn wanted(mut self, wanted: Wanted) -> Self {
        for name in &wanted.also {
            self.also_marks |= mark(name);
            if let Err(at) = self.also.binary_search(name) {
                self.also.insert(at, name.clone());
            }
        }
        self.patterns.push(wanted);
        self
    }

    /// The same filter with the aliases of a store's catalogue, where no other was given. Repeating this, even with
    /// another catalogue, changes nothing.
    pub(crate) fn resolved_in(mut self, catalogue: &Catalogue) -> Self {
        if self.patterns.iter().all(|wanted| wanted.resolved) {
            return self;
        }
        (self.also, self.also_marks) = (Vec::new(), 0);
        for wanted in std::mem::take(&mut self.patterns) {
            self = self.wanted(match wanted.resolved {
                true => wanted,
                false => Wanted::new(wanted.pattern, catalogue, true),
            });
        }
        self
    }

    /// Matches events of exactly this source.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Matches events of exactly this actor.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Matches events of exactly this correlation.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    /// Matches events of at least this priority. The last of several calls counts.
    pub fn priority_at_least(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Matches events of at most this priority. The last of several calls counts.
    pub fn priority_at_most(mut self, priority: u8) -> Self {
        self.highest_priority = Some(priority);
        self
    }

    /// Matches events of exactly this priority; 0 is that of events that were given none. It replaces what was said of
    /// priorities before.
    pub fn priority_exactly(self, priority: u8) -> Self {
        self.priority_at_least(priority).priority_at_most(priority)
    }

    /// Matches events whose metadata has this value under this key; more calls narrow further.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Matches events that occurred at this time or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Matches events that occurred before this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Matches events whose payload passes this test; more calls narrow further. It is that of the newest shape, where old events are
    /// upcast. A payload is looked at only when everything else matches.
    pub fn payload(mut self, test: PayloadTest) -> Self {
        self.payload.push(test);
        self
    }

    /// Whether it matches everything, so that no check is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it matches this event.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        self.takes_kind(event.kind()) && self.takes_but_kind(&PayloadView::of(event))
    }

    /// Whether events of this type can match.
    #[must_use]
    pub fn takes_kind(&self, kind: &str) -> bool {
        self.patterns.is_empty()
            || self.patterns.iter().any(|p| p.pattern.matches(kind))
            || (self.also_marks & mark(kind) != 0 && self.also.binary_search_by(|n| (**n).cmp(kind)).is_ok())
    }

    /// Whether it matches this event, ignoring its type.
    pub(crate) fn takes_but_kind(&self, event: &PayloadView<'_>) -> bool {
        self.takes_envelope(event.record()) && self.takes_payload(event)
    }

    /// Whether it matches this event's payload.
    pub(crate) fn takes_payload(&self, event: &PayloadView<'_>) -> bool {
        payload_test::pass(&self.payload, event)
    }

    /// Whether payloads have to be read.
    pub(crate) fn tests_payloads(&self) -> bool {
        !self.payload.is_empty()
    }

    /// Whether it says when an event has to have occurred.
    #[cfg(feature = "search")]
    pub(crate) fn has_times(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Whether it can match an event that occurred at one of these times, or in between.
    #[cfg(feature = "search")]
    pub(crate) fn may_match_between(&self, first: Timestamp, last: Timestamp) -> bool {
        self.since.is_none_or(|t| last >= t) && self.until.is_none_or(|t| first < t)
    }

    /// Whether it matches this event, ignoring its type and its payload, which upcasters may change.
    pub(crate) fn takes_envelope(&self, event: &Record) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| match wanted {
            None => true,
            Some(w) => found == Some(w.as_str()),
        };
        event.priority() >= self.priority
            && self.highest_priority.is_none_or(|highest| event.priority() <= highest)
            && self.since.is_none_or(|t| event.occurred() >= t)
            && self.until.is_none_or(|t| event.occurred() < t)
            && is(&self.source, event.source())
            && is(&self.actor, event.actor())
            && is(&self.correlation, event.correlation())
            && self.metadata.iter().all(|(k, v)| event.meta(k) == Some(v))
    }
}

/// One of 128 bits, derived from a name's length and its ends.
fn mark(name: &str) -> u128 {
    let end = |b: Option<u8>| usize::from(b.unwrap_or_default());
    let mixed = name.len() * 31 + end(name.bytes().next()) * 7 + end(name.bytes().next_back());
    1 << (mixed % 128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TypeSpec;

    fn filter(glob: &str) -> Filter {
        Filter::new().pattern(glob.parse().unwrap())
    }

    #[test]
    fn a_pattern_takes_a_type_by_each_of_its_names() {
        for (glob, kind) in [
            ("coder_started", "coder.started"),
            ("coder.started", "coder_started"),
            ("coder.*", "coder_started"),
            ("coder.*", "file_modified"),
            ("decision.made", "decision.created"),
            ("decision.created", "decision.made"),
            ("*_requested", "task.requested"),
        ] {
            assert!(filter(glob).takes_kind(kind), "{glob} does not take {kind}");
        }
        for (glob, kind) in [
            ("coder.*", "plan_created"),
            ("coder_started", "coder.stopped"),
            ("acme.*", "acme_one"),
            ("*a*", "run.started"),
        ] {
            assert!(!filter(glob).takes_kind(kind), "{glob} takes {kind}");
        }
    }

    #[test]
    fn users_types_have_other_names_too() {
        let mut spec = TypeSpec::named("acme.one");
        spec.aliases = vec!["EINS".into()];
        let own = Catalogue::builtin().with([spec]).unwrap();
        let filter = Filter::new().pattern_in("acme.*".parse().unwrap(), &own);
        assert!(filter.takes_kind("acme_one") && filter.takes_kind("eins") && !filter.takes_kind("zwei"));
    }

    #[test]
    fn a_store_resolves_the_names_that_were_left_to_it_and_only_once() {
        let with =
            |alias: &str| Catalogue::builtin().with([TypeSpec::named("acme.one").alias(alias)]).unwrap();
        let (own, other) = (with("eins"), with("un"));
        let open = filter("acme.*").pattern_in("acme.one".parse().unwrap(), &other);
        assert!(open.takes_kind("un") && !open.takes_kind("eins"));
        let resolved = open.resolved_in(&own);
        assert!(resolved.takes_kind("un") && resolved.takes_kind("eins"));
        assert_eq!(resolved.clone().resolved_in(&with("uno")), resolved);
        // A type of the user's takes the place of a built-in one, whose names are none any more.
        let own = Catalogue::builtin().with([TypeSpec::named("coder.started")]).unwrap();
        assert!(filter("decision.created").resolved_in(&own).takes_kind("decision.made"));
        assert_eq!(Filter::new().resolved_in(&own), Filter::new());
    }

    #[test]
    fn a_pattern_without_other_names_costs_nothing_more() {
        // How many parts a name has is no name.
        assert!(filter("*").also.is_empty() && filter("*.*").also.is_empty());
        assert!(filter("acme.**").also.is_empty());
        assert!(filter("**").also.is_empty());
        assert!(filter("fnmatch:*").also.is_empty() && filter("fnmatch:*.?*").also.is_empty());
    }

    #[test]
    fn a_glob_of_fnmatch_takes_aliases_as_any_other() {
        assert!(filter("fnmatch:coder.*").takes_kind("file_modified"));
        assert!(filter("fnmatch:*_requested").takes_kind("task.requested"));
    }
}
