//! `retold state`

use std::sync::Arc;

use super::app::App;
use super::current::Shown;
use super::failure::Outcome;
use super::named;
use super::projections::find;
use super::state_happened::{happened, last_by};
use super::style::{DIM, NAME, of_kind, paint};
use super::table::{Table, cell, clean};
use super::view::short;
use retold::error::{Error, Result};
use retold::event::{Address, Timestamp};
use retold::project::{DynProjection, History, Projected, Reading, Scope};
use retold::store::Store;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold state counts run-7                         at the head of main
  retold state counts run-7/retry@12                after event 12 of a branch
  retold state counts run-7 --at 2026-02-03T04:05:06Z    what had happened by then
  retold state counts run-7 --history               after each event that changed it")]
pub(super) struct Args {
    /// The projection's name
    #[arg(value_name = "PROJECTION")]
    projection: String,
    /// SESSION[/BRANCH][@SEQ], by default the current branch; a key for a projection by key
    #[arg(value_name = "ADDRESS")]
    of: String,
    /// After the last event that had happened by this time
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// With --at: after the last event that had been recorded by then
    #[arg(long, requires = "at")]
    recorded: bool,
    /// The state after each event that changed it
    #[arg(long, conflicts_with = "at")]
    history: bool,
}

type States = Projected<serde_json::Value>;

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let projection: Arc<dyn DynProjection> = find(&args.projection, app)?.into();
    let at = args.at.as_deref().map(str::parse::<Timestamp>).transpose()?;
    let store = app.reading()?;
    let states = store.project_dyn(projection.clone())?;
    let of = match states.scope() {
        Scope::Branch => args.of.parse::<Shown>()?.resolve(&store, &mut app.out)?.to_string(),
        Scope::Key => args.of.clone(),
        _ => named::address(&store, &args.of, &mut app.out)?.to_string(),
    };
    if args.history {
        return show_history(app, history(&states, &of)?);
    }
    let reading = match at {
        Some(time) if !args.recorded => as_of(&store, (&states, &*projection), &of, time)?,
        at => reading(&states, &of, at)?,
    };
    if !app.out.is_table() {
        return app.out.document(&wire::State::new(states.name(), &reading));
    }
    let after = match states.scope() {
        Scope::Branch => format!("{}@{}", reading.of, reading.at),
        _ => format!("{}, up to position {}", reading.of, reading.at),
    };
    app.out.line(paint(DIM, clean(&format!("{} of {after}", states.name()))))?;
    let text = serde_json::to_string_pretty(&reading.state).unwrap_or_default();
    text.lines().try_for_each(|line| {
        let indent = line.len() - line.trim_start().len();
        app.out.line(format!("{}{}", " ".repeat(indent), clean(line)))
    })
}

fn reading(states: &States, of: &str, at: Option<Timestamp>) -> Result<Reading<serde_json::Value>> {
    match (states.scope(), at) {
        (Scope::Key, None) => states.read_of(of),
        (Scope::Key, Some(time)) => states.state_of_at(of, time),
        (_, None) => states.read(of.parse::<Address>()?),
        (_, Some(time)) => states.state_at(of.parse::<Address>()?, time),
    }
}

/// The state after the last event that had happened by a time. What came late is not sorted in: events count in the order in which
/// they were recorded. Over several branches, each counts up to its own last event.
fn as_of(
    store: &Store,
    (states, projection): (&States, &dyn DynProjection),
    of: &str,
    time: Timestamp,
) -> Result<Reading<serde_json::Value>> {
    let none = || Error::not_found("event", format!("of {of} that happened at or before {time}"));
    if states.scope() == Scope::Branch {
        let address: Address = of.parse()?;
        let last = last_by(store, &address, time)?.ok_or_else(none)?;
        return states.read(Address::from(address.place().clone()).at(last.sequence()));
    }
    let mut reading = reading(states, of, None)?;
    (reading.state, reading.at) = happened(store, projection, of, time)?.ok_or_else(none)?;
    Ok(reading)
}

fn history(states: &States, of: &str) -> Result<History<serde_json::Value>> {
    match states.scope() {
        Scope::Key => states.history_of(of),
        _ => states.history(of.parse::<Address>()?),
    }
}

fn show_history(app: &mut App, history: History<serde_json::Value>) -> Outcome {
    let out = &mut app.out;
    out.begin_list()?;
    let mut table = out
        .is_table()
        .then(|| Table::new(&["EVENT", "RECORDED", "TYPE", "STATE"], out.width()).spare(&["RECORDED"]));
    for change in history {
        let change = change?;
        let Some(table) = &mut table else {
            out.item(&wire::StateChange::from(&change))?;
            continue;
        };
        let event = &change.event;
        let lines = table.row(vec![
            cell(event.address()).style(NAME),
            cell(short(event.recorded())).style(DIM),
            cell(event.kind()).style(of_kind(event.kind())),
            cell(&change.state),
        ]);
        out.lines(lines)?;
    }
    match table {
        Some(mut table) => out.lines(table.lines()),
        None => Ok(()),
    }
}
