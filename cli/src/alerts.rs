//! `retold alerts`

use serde::Deserialize;

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::output::Out;
use super::span::since;
use super::style::{BAD, DIM, NAME, NOTICE, PLAIN};
use super::table::{Table, cell};
use super::view::short;
use retold::agents::projections::Alerts;
use retold::error::Result;
use retold::event::{Address, Event, Filter, Timestamp};
use retold::store::{Query, Store};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold alerts --since 1h                     what was raised in the last hour
  retold alerts run-7                          on branch main of one session
  retold alerts --check                        raise what is due, such as sessions that have stalled

An alert is an event of a type alert.*, raised by the projection `alerts` while a program that runs it has the store \
open. Detecting a stalled session needs a clock, so --check looks for them. It also folds what the projection \
has not seen yet, so it raises everything else that is due; an alert that was raised before is not raised again.")]
pub(super) struct Args {
    /// SESSION[/BRANCH]: only alerts of this branch [default: the whole store]
    #[arg(value_name = "ADDRESS", conflicts_with = "check")]
    address: Option<String>,
    /// Raise what is due now, and print it
    #[arg(long)]
    check: bool,
    /// Only alerts since this time, or for this long: 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since, conflicts_with = "check")]
    since: Option<Timestamp>,
    /// Go by when alerts were raised, not by when what they tell of happened: --since, and the times shown
    #[arg(long)]
    recorded: bool,
    /// Only this many, the latest
    #[arg(long, value_name = "N", default_value = "50", conflicts_with = "check")]
    limit: usize,
}

impl Args {
    fn time(&self, event: &Event) -> Timestamp {
        if self.recorded { event.recorded() } else { event.occurred() }
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let (alerts, none) = match args.check {
        true => (check(app)?, "nothing new is due"),
        false => {
            args.address.as_deref().map(str::parse::<Address>).transpose()?;
            let store = app.reading()?;
            let of = args
                .address
                .as_deref()
                .map(|given| named::address(&store, given, &mut app.out))
                .transpose()?;
            (last(args, of, &store)?, "no alerts")
        }
    };
    show(args, &alerts, none, &mut app.out)
}

fn of_alerts() -> Result<Filter> {
    Ok(Filter::new().pattern("alert.*".parse()?))
}

/// Existing alerts, newest first.
fn last(args: &Args, of: Option<Address>, store: &Store) -> Result<Vec<Event>> {
    let query = match of {
        Some(address) => Query::branch(address)?,
        None => Query::all(),
    };
    let wanted = |event: &Event| args.since.is_none_or(|since| args.time(event) >= since);
    let found = store.events(query.filter(of_alerts()?).reverse())?;
    found.filter(|event| event.as_ref().map_or(true, wanted)).take(args.limit).collect()
}

/// What is raised now, in order.
fn check(app: &App) -> Result<Vec<Event>> {
    let store = app.changing()?;
    let before = store.committed().get();
    let alerts = Alerts::built_in();
    let watch = store.project(alerts.clone())?;
    if let Some(rebuild) = watch.rebuilding() {
        rebuild.wait()?;
    }
    watch.catch_up()?;
    alerts.check_stalled(&watch, Timestamp::now())?;
    let raised = store.events(Query::all().from(before + 1).filter(of_alerts()?))?.collect();
    drop(watch);
    store.close()?;
    raised
}

/// What an alert says; one of a user-defined type may say less.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    severity: String,
    message: String,
}

fn show(args: &Args, alerts: &[Event], none: &str, out: &mut Out) -> Outcome {
    if !out.is_table() {
        out.begin_list()?;
        return alerts.iter().try_for_each(|event| out.event(event));
    }
    if alerts.is_empty() {
        out.note(none);
        return Ok(());
    }
    let mut table =
        Table::new(&["TIME", "SEVERITY", "ALERT", "AT", "MESSAGE"], out.width()).spare(&["SEVERITY", "TIME"]);
    for event in alerts {
        let said: Said = event.json().unwrap_or_default();
        let severity = match said.severity.as_str() {
            "critical" | "error" => BAD,
            "warning" => NOTICE,
            _ => PLAIN,
        };
        let lines = table.row(vec![
            cell(short(args.time(event))).style(DIM),
            cell(&said.severity).style(severity),
            cell(event.kind().trim_start_matches("alert.")).style(NAME),
            cell(event.address()),
            cell(&said.message),
        ]);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}
