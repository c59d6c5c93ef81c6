//! `retold stats`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::span::{amount, bar, span, sparks, wrapped};
use super::style::{DIM, HEADER, NAME, of_kind, paint};
use super::table::{Table, cell};
use super::view::{count, grouped, short};
use retold::agents::projections::{Figures, Stats};
use retold::error::Error;
use retold::event::{SessionId, Timestamp};
use retold::limits::MAX_LISTING;
use retold::store::{SessionInfo, Store};
use retold::wire::StoreStats;

/// How many types and sessions are shown.
const ROWS: usize = 12;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold stats              the whole store
  retold stats run-7        one session, with all its branches")]
pub(super) struct Args {
    /// The session [default: the whole store]
    #[arg(value_name = "SESSION")]
    session: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    args.session.as_deref().map(SessionId::new).transpose()?;
    let store = app.reading()?;
    if let Some(session) = &args.session {
        let session = named::session(&store, session, &mut app.out)?;
        let figures = store.project(Stats::of_sessions())?.state(session.as_str())?;
        return match app.out.is_table() {
            true => show(app, &figures, "BRANCH"),
            false => {
                app.out.document(&StoreStats::new(1, figures.per_minute(Timestamp::now()), &figures, &[]))
            }
        };
    }
    let figures = match store.project(Stats::of_the_store())?.state_of(Stats::STORE) {
        // No events.
        Err(Error::NotFound { .. }) => Figures::default(),
        found => found?,
    };
    let (sessions, largest) = largest(&store)?;
    if !app.out.is_table() {
        let rate = figures.per_minute(Timestamp::now());
        return app.out.document(&StoreStats::new(sessions, rate, &figures, &largest));
    }
    app.out.line(format!("{}  {}", paint(DIM, "sessions"), grouped(sessions)))?;
    show(app, &figures, "")?;
    if largest.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, u64)> = largest.iter().map(|s| (s.session.to_string(), s.events)).collect();
    shares(app, "LARGEST SESSIONS", &rows, figures.events, false)
}

/// The number of sessions, and those with the most events.
fn largest(store: &Store) -> Result<(u64, Vec<SessionInfo>), Error> {
    let (mut all, mut largest): (u64, Vec<SessionInfo>) = (0, Vec::new());
    let mut last: Option<SessionInfo> = None;
    loop {
        let page = store.sessions(last.as_ref().map(|s| &s.session), MAX_LISTING)?;
        let Some(end) = page.last().cloned() else { return Ok((all, largest)) };
        last = Some(end);
        all += page.len() as u64;
        largest.extend(page);
        largest.sort_by_key(|s| std::cmp::Reverse(s.events));
        largest.truncate(ROWS);
    }
}

fn show(app: &mut App, figures: &Figures, places: &str) -> Outcome {
    let now = Timestamp::now();
    let mut lines = vec![("events", grouped(figures.events)), ("payloads", count(figures.bytes, "byte"))];
    if let (Some(first), Some(newest)) = (figures.first, figures.newest) {
        let width = span(figures.chart.width.unsigned_abs().saturating_mul(1_000_000));
        lines.extend([
            ("first", short(first)),
            ("newest", short(newest)),
            (
                "rate",
                format!(
                    "{} per minute now, {} at the latest event",
                    amount(figures.per_minute(now)),
                    amount(figures.per_minute)
                ),
            ),
            ("", {
                let pieces = [sparks(figures.chart.counts.iter()), paint(DIM, format!("{width} each"))];
                let indent = format!("\n{:8}  ", "");
                wrapped(&pieces, app.out.width().map(|width| width.saturating_sub(10))).replace('\n', &indent)
            }),
        ]);
    }
    if let Some(last) = &figures.last {
        lines.push(("last", format!("{} {}", paint(of_kind(&last.kind), &last.kind), paint(NAME, &last.at))));
    }
    for (name, text) in lines {
        app.out.line(format!("{}  {text}", paint(DIM, format!("{name:>8}"))))?;
    }
    let sorted = |all: &std::collections::BTreeMap<String, u64>| {
        let mut rows: Vec<(String, u64)> = all.iter().map(|(name, n)| (name.clone(), *n)).collect();
        rows.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        rows
    };
    shares(app, "TYPE", &sorted(&figures.types), figures.events, true)?;
    shares(app, "SOURCE", &sorted(&figures.sources), figures.events, false)?;
    if places.is_empty() {
        return Ok(());
    }
    shares(app, places, &sorted(&figures.places), figures.events, false)
}

/// Names with their counts and shares, largest first.
fn shares(app: &mut App, title: &str, rows: &[(String, u64)], all: u64, kinds: bool) -> Outcome {
    if rows.is_empty() {
        return Ok(());
    }
    app.out.line("")?;
    // Sessions and branches are named to the next command, types and sources are not.
    let mut table = Table::new(&[title, "#EVENTS", "#SHARE", ""], app.out.width()).whole(match title {
        "LARGEST SESSIONS" => title,
        _ => "BRANCH",
    });
    for (name, n) in rows.iter().take(ROWS) {
        let share = *n as f64 / all.max(1) as f64;
        let style = if kinds { of_kind(name) } else { NAME };
        let percent = cell(format!("{:.0}%", share * 100.0)).style(DIM);
        let shown = cell(bar(share, 20)).style(DIM);
        let lines = table.row(vec![cell(name).style(style), cell(grouped(*n)), percent, shown]);
        app.out.lines(lines)?;
    }
    app.out.lines(table.lines())?;
    match rows.len().saturating_sub(ROWS) {
        0 => Ok(()),
        n => app.out.line(paint(HEADER, format!("… and {} more", grouped(n as u64)))),
    }
}
