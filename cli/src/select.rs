//! Flags that select events, the same for every verb that reads.

use super::app::App;
use super::failure::Failure;
use super::recording::Recorded;
use retold::event::{Catalogue, Filter, Invalid, Pattern, Timestamp};

/// Event filters.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Select {
    /// Only types that match this glob, for example `tool.**`; repeat to add more
    #[arg(long = "type", value_name = "GLOB")]
    kinds: Vec<String>,
    /// Only events of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only events of this actor
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only events of this correlation
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only events of at least this priority
    #[arg(long, value_name = "0-255")]
    priority: Option<u8>,
    /// Only events with this metadata; repeat to require more
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// Only events whose payload passes this test: a JSON pointer, then ==, !=, <, <=, >, >= or ~ (contains) and a value, as in
    /// '/tool == "cargo"'; a pointer alone asks whether there is anything; repeat to require more
    #[arg(long = "where", value_name = "TEST")]
    payload: Vec<String>,
    /// Only events that occurred at or after this time, or in the last 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN")]
    since: Option<String>,
    /// Only events that occurred before this time, or longer ago than this
    #[arg(long, value_name = "TIME|SPAN")]
    until: Option<String>,
}

impl Select {
    pub(super) fn filter(&self, app: &App) -> Result<Filter, Failure> {
        let mut filter = self.but_times(app)?;
        if let Some(since) = &self.since {
            filter = filter.since(past("since", since)?);
        }
        if let Some(until) = &self.until {
            filter = filter.until(past("until", until)?);
        }
        Ok(filter)
    }

    /// The filter, and the times that are looked at beside it when they are those of recording.
    pub(super) fn filter_by(&self, recorded: bool, app: &App) -> Result<(Filter, Recorded), Failure> {
        if !recorded {
            return Ok((self.filter(app)?, Recorded::default()));
        }
        let time = |flag, text: &Option<String>| text.as_deref().map(|text| past(flag, text)).transpose();
        let times = Recorded::new(time("since", &self.since)?, time("until", &self.until)?);
        Ok((self.but_times(app)?, times))
    }

    fn but_times(&self, app: &App) -> Result<Filter, Failure> {
        let mut filter = Filter::new();
        if !self.kinds.is_empty() {
            let catalogue = app.catalogue()?;
            for kind in &self.kinds {
                filter = filter.pattern_in(pattern(kind, &catalogue)?, &catalogue);
            }
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
        if let Some(priority) = self.priority {
            filter = filter.priority_at_least(priority);
        }
        for (key, value) in &self.meta {
            filter = filter.meta(key, value);
        }
        for test in &self.payload {
            filter = filter.payload(test.parse()?);
        }
        Ok(filter)
    }
}

/// A glob, or a known type in any spelling: `CoderStarted`.
fn pattern(glob: &str, catalogue: &Catalogue) -> Result<Pattern, Invalid> {
    Pattern::new(glob).or_else(|e| match catalogue.find(glob) {
        Some(known) => Pattern::new(known.name()),
        None => Err(e),
    })
}

/// A time, or how long ago; an error names the flag.
pub(super) fn past(flag: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    super::span::since(text).map_err(|e| Invalid::new(flag, format!("`{text}` is {e}")))
}

/// A time; an error names the flag.
pub(super) fn time(flag: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    text.parse::<Timestamp>().map_err(|e| Invalid::new(flag, e.reason))
}

/// `KEY=VALUE`
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not KEY=VALUE".to_owned()),
    }
}
