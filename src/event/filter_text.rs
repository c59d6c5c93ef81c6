//! Filters as people write them, on a command line or in an address.

use super::{Catalogue, Filter, Invalid, Pattern, Timestamp, parse_span};

/// A filter as it is written: all that is given has to hold.
///
/// ```
/// use retold::event::Catalogue;
/// use retold::event::finding::FilterText;
/// let mut text = FilterText::default();
/// text.kinds = vec!["tool.*".to_owned(), "RunStarted".to_owned()];
/// text.since = Some("15m".to_owned());
/// let filter = text.filter(Catalogue::builtin())?;
/// assert!(filter.takes_kind("tool.invoked") && filter.takes_kind("run.started"));
/// text.tests = vec!["nonsense".to_owned()];
/// assert_eq!(text.filter(Catalogue::builtin()).unwrap_err().field, "where");
/// # Ok::<(), retold::event::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterText {
    /// Types that match one of these globs, or are one of these in any spelling.
    pub kinds: Vec<String>,
    /// [Tests](super::finding::PayloadTest) of the payload, all of which have to pass.
    pub tests: Vec<String>,
    /// The source.
    pub source: Option<String>,
    /// The actor.
    pub actor: Option<String>,
    /// The correlation.
    pub correlation: Option<String>,
    /// At least this priority.
    pub priority: Option<u8>,
    /// Metadata, all of it.
    pub meta: Vec<(String, String)>,
    /// It occurred at this time or later: a time, or a span ago.
    pub since: Option<String>,
    /// It occurred before this.
    pub until: Option<String>,
    /// What spans are before; if it is not given, the moment at which the filter is made.
    pub now: Option<Timestamp>,
}

impl FilterText {
    /// The filter.
    ///
    /// # Errors
    /// [`Invalid`] for the first part that is none: `type`, `where`, `since` or `until`.
    pub fn filter(&self, catalogue: &Catalogue) -> Result<Filter, Invalid> {
        let mut filter = self.but_times(catalogue)?;
        let (since, until) = self.times()?;
        if let Some(since) = since {
            filter = filter.since(since);
        }
        if let Some(until) = until {
            filter = filter.until(until);
        }
        Ok(filter)
    }

    /// The filter without its times.
    ///
    /// # Errors
    /// As [`filter`](Self::filter).
    pub fn but_times(&self, catalogue: &Catalogue) -> Result<Filter, Invalid> {
        let mut filter = any_of("type", &self.kinds, catalogue)?;
        if let Some(source) = &self.source {
            filter = filter.source(source);
        }
        if let Some(actor) = &self.actor {
            filter = filter.actor(actor);
        }
        if let Some(correlation) = &self.correlation {
            filter = filter.correlation(correlation);
        }
        if let Some(priority) = self.priority {
            filter = filter.priority_at_least(priority);
        }
        for (key, value) in &self.meta {
            filter = filter.meta(key, value);
        }
        for test in &self.tests {
            filter = filter.payload(test.parse()?);
        }
        Ok(filter)
    }

    /// Its times: since when, and until when.
    ///
    /// # Errors
    /// As [`filter`](Self::filter).
    pub fn times(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), Invalid> {
        let now = self.now.unwrap_or_else(Timestamp::now);
        let time = |field, text: &Option<String>| {
            text.as_deref().map(|text| moment(field, text, now, -1)).transpose()
        };
        Ok((time("since", &self.since)?, time("until", &self.until)?))
    }
}

/// A filter for types that match one of these globs, or are one of these in any spelling: `CoderStarted`. All types if there is
/// none. `field` is what an error names.
///
/// # Errors
/// [`Invalid`] for what is neither.
pub fn any_of(field: &'static str, kinds: &[String], catalogue: &Catalogue) -> Result<Filter, Invalid> {
    let mut filter = Filter::new();
    for kind in kinds {
        let pattern = Pattern::new(kind).or_else(|e| match catalogue.find(kind) {
            Some(known) => Pattern::new(known.name()),
            None => Err(Invalid::new(field, e.reason)),
        })?;
        filter = filter.pattern_in(pattern, catalogue);
    }
    Ok(filter)
}

/// A time, or how long ago: `90s`, `15m`, `1h 30m`, `7d`. `field` is what an error names.
///
/// # Errors
/// [`Invalid`] for what is neither.
pub fn past(field: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    moment(field, text, Timestamp::now(), -1)
}

/// A time, or how long from now. `field` is what an error names.
///
/// # Errors
/// [`Invalid`] for what is neither.
pub fn ahead(field: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    moment(field, text, Timestamp::now(), 1)
}

fn moment(field: &'static str, text: &str, now: Timestamp, sign: i64) -> Result<Timestamp, Invalid> {
    if let Ok(span) = parse_span(text) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX).saturating_mul(sign);
        return Ok(Timestamp::from_micros(now.micros().saturating_add(micros)));
    }
    text.parse().map_err(|_| {
        let what = "not a time such as 2026-02-03T04:05:06Z, nor a span such as 90s, 15m, 1h 30m, 7d";
        Invalid::new(field, format!("`{}` is {what}", text.escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_or_a_span() {
        assert!(past("since", "1h").unwrap() < Timestamp::now());
        assert!(ahead("at", "1h").unwrap() > Timestamp::now());
        assert_eq!(past("since", "2026-02-03T04:05:06Z").unwrap(), "2026-02-03T04:05:06Z".parse().unwrap());
        for bad in ["", "soon", "-1h", "1"] {
            assert_eq!(past("since", bad).unwrap_err().field, "since", "{bad}");
        }
    }

    #[test]
    fn what_is_no_filter_names_its_field() {
        let told = |change: fn(&mut FilterText)| {
            let mut text = FilterText::default();
            change(&mut text);
            text.filter(Catalogue::builtin()).map_err(|e| e.field)
        };
        assert!(told(|_| ()).unwrap().is_empty());
        assert_eq!(told(|text| text.kinds.push("a..b".into())).unwrap_err(), "type");
        assert_eq!(told(|text| text.since = Some("yesterday".into())).unwrap_err(), "since");
        assert_eq!(told(|text| text.until = Some("tomorrow".into())).unwrap_err(), "until");
        let priority = told(|text| text.priority = Some(9)).unwrap();
        assert!(!priority.is_empty() && priority.takes_kind("any.type"));
    }
}
