//! Flags that select events, the same for every verb that reads.

use super::app::App;
use super::failure::Failure;
use super::recording::Recorded;
use retold::event::finding::FilterText;
pub(super) use retold::event::finding::past;
use retold::event::{Catalogue, Filter, Invalid, Timestamp};

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
        let (text, catalogue) = self.text(app)?;
        Ok(text.filter(&catalogue)?)
    }

    /// The filter, and the times that are looked at beside it when they are those of recording.
    pub(super) fn filter_by(&self, recorded: bool, app: &App) -> Result<(Filter, Recorded), Failure> {
        let (text, catalogue) = self.text(app)?;
        if !recorded {
            return Ok((text.filter(&catalogue)?, Recorded::default()));
        }
        let (since, until) = text.times()?;
        Ok((text.but_times(&catalogue)?, Recorded::new(since, until)))
    }

    fn text(&self, app: &App) -> Result<(FilterText, Catalogue), Failure> {
        let mut text = FilterText::default();
        text.kinds.clone_from(&self.kinds);
        text.tests.clone_from(&self.payload);
        text.source.clone_from(&self.source);
        text.actor.clone_from(&self.actor);
        text.correlation.clone_from(&self.correlation);
        text.since.clone_from(&self.since);
        text.until.clone_from(&self.until);
        text.priority = self.priority;
        text.meta.clone_from(&self.meta);
        // Read only if it says something: a file of types that cannot be read is in nobody's way.
        let catalogue = if self.kinds.is_empty() { Catalogue::builtin().clone() } else { app.catalogue()? };
        Ok((text, catalogue))
    }
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
