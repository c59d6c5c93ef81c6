//! `retold timers`

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::app::App;
use super::append::payload;
use super::failure::{Failure, Outcome};
use super::open::is_passing;
use super::select::time;
use super::span::seconds;
use super::span::span;
use super::style::{BAD, DIM, NAME, paint};
use super::table::{Cell, Table, cell, clean};
use super::view::{count, short};
use retold::bus::timers::{Due, Fired, Timer};
use retold::event::{Address, EventId, NewEvent, Timestamp};
use retold::limits::MAX_LISTING;
use retold::wire;

/// The pause between two checks of a store that others may write.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Record an event later, exactly once: after a delay, or at a time
    Add(Add),
    /// List the timers that have not fired, next one first
    Ls(Ls),
    /// Cancel a timer before it fires
    Cancel(Cancel),
    /// Fire timers as they come due, until Ctrl-C
    Run(Run),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["after", "at"]))]
#[command(after_help = "Examples:
  retold timers add run-7 run.timed_out --after 10m
  retold timers add run-7 report.due --at 2027-01-01T08:00:00+01:00 --data '{\"for\": \"december\"}'

A timer fires while a program runs the timers of this store: one with a bus, or `retold timers run`. Timers that come due while no program runs them fire when one starts.")]
struct Add {
    /// The branch to append to
    #[arg(value_name = "SESSION[/BRANCH]")]
    address: String,
    /// The event's type
    #[arg(value_name = "TYPE")]
    kind: String,
    /// After this delay: 90s, 10m, 1h 30m, 2d
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    after: Option<Duration>,
    /// At this time
    #[arg(long, value_name = "RFC3339")]
    at: Option<String>,
    /// The payload: JSON, or @FILE, or @- for standard input [default: null]
    #[arg(short, long, value_name = "JSON|@FILE|@-", allow_hyphen_values = true)]
    data: Option<String>,
    /// The event's id, which makes it safe to run the command again; it is also the timer's id
    #[arg(long, value_name = "UUID")]
    id: Option<String>,
    /// The component that writes the event
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// The person, agent or service that acted
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Ties the event to related ones
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = MAX_LISTING)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct Cancel {
    /// The timer's id, from `retold timers ls`
    #[arg(value_name = "ID")]
    id: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Other processes can use the store in the meantime; an application that opens it takes it over."
)]
struct Run {
    /// Fire what is due now, and exit
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: Args, app: &mut App) -> Outcome {
    match args.verb {
        Verb::Add(args) => add(args, app),
        Verb::Ls(args) => ls(&args, app),
        Verb::Cancel(args) => cancel(&args, app),
        Verb::Run(args) => fire(&args, app),
    }
}

fn add(args: Add, app: &mut App) -> Outcome {
    let address: Address = args.address.parse()?;
    let when = match (args.after, &args.at) {
        (Some(delay), _) => Due::After(delay),
        (None, Some(at)) => Due::At(time("at", at)?),
        (None, None) => {
            return Err(Failure::Usage("a timer needs --after SPAN or --at TIME".into()));
        }
    };
    let mut event = NewEvent::new(args.kind);
    if let Some(data) = args.data {
        event = event.json_text(payload(data)?);
    }
    if let Some(id) = args.id {
        event = event.with_id(id.parse()?);
    }
    let text = Option::unwrap_or_default;
    event = event.source(text(args.source)).actor(text(args.actor)).correlation(text(args.correlation));
    event.check()?;
    let store = app.writing()?;
    let timer = store.timers().schedule(address, event, when)?;
    store.close()?;
    if app.out.is_table() {
        let due = paint(DIM, format!("due {}, id {}", short(timer.due), timer.id));
        return app.out.line(format!("{}  {due}", paint(NAME, clean(&timer.place.to_string()))));
    }
    app.out.document(&wire::TimerView::from(&timer))
}

fn ls(args: &Ls, app: &mut App) -> Outcome {
    let timers = app.reading()?.timers();
    let out = &mut app.out;
    let names = ["ID", "DUE", "IN", "BRANCH", "TYPE", "DATA"];
    let mut table =
        out.is_table().then(|| Table::new(&names, out.width()).whole("ID").spare(&["DUE", "DATA", "BRANCH"]));
    out.begin_list()?;
    let now = Timestamp::now();
    let (mut page, mut shown) = (timers.list(args.limit)?, 0);
    while let Some(mark) = page.last().map(Timer::mark) {
        for timer in &page {
            match &mut table {
                None => out.item(&wire::TimerView::from(timer))?,
                Some(table) => {
                    let lines = table.row(row(timer, now));
                    out.lines(lines)?;
                }
            }
        }
        shown += page.len();
        page = timers.list_after(&mark, args.limit - shown)?;
    }
    if let Some(mut table) = table {
        if shown == 0 {
            out.note("there are no pending timers");
        }
        out.lines(table.lines())?;
    }
    Ok(())
}

fn row(timer: &Timer, now: Timestamp) -> Vec<Cell> {
    vec![
        cell(timer.id),
        cell(short(timer.due)).style(DIM),
        state(timer, now),
        cell(&timer.place).style(NAME),
        cell(timer.event.kind()),
        cell(timer.refused.clone().unwrap_or_else(|| data(timer))).style(DIM),
    ]
}

fn state(timer: &Timer, now: Timestamp) -> Cell {
    let left = timer.due.micros().saturating_sub(now.micros());
    match left {
        _ if timer.refused.is_some() => cell("refused").style(BAD),
        ..=0 => cell("due"),
        left => cell(span(left.unsigned_abs())),
    }
}

fn data(timer: &Timer) -> String {
    let payload = timer.event.payload();
    String::from_utf8_lossy(payload.get(..512).unwrap_or(payload)).into_owned()
}

fn cancel(args: &Cancel, app: &mut App) -> Outcome {
    let id: EventId = args.id.parse()?;
    let store = app.changing()?;
    store.timers().cancel(id)?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&json!({ "id": id.to_string(), "done": "cancelled" }));
    }
    app.out.line(format!("timer {}: cancelled", paint(NAME, id)))
}

fn fire(args: &Run, app: &mut App) -> Outcome {
    if args.once {
        let store = app.changing()?;
        let fired = store.timers().fire()?;
        store.close()?;
        return tell(app, fired);
    }
    let store = app.changing()?;
    let mut told = false;
    loop {
        match store.timers().fire() {
            Ok(fired) => {
                told = false;
                if fired.recorded + fired.refused > 0 {
                    tell(app, fired)?;
                    app.out.flush()?;
                }
                // Others may set a timer that is due earlier.
                sleep(PAUSE.min(fired.wait));
            }
            // Whether or not they were recorded: none fires twice.
            Err(e) if is_passing(&e) => {
                if !std::mem::replace(&mut told, true) {
                    app.out.note(paint(DIM, format!("{e}; retrying")));
                }
                sleep(PAUSE);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn tell(app: &mut App, fired: Fired) -> Outcome {
    if !app.out.is_table() {
        return app.out.document(&wire::FiredView::from(fired));
    }
    let refused = match fired.refused {
        0 => String::new(),
        n => paint(BAD, format!(", {} refused: `retold timers ls` says why", count(n, "event"))),
    };
    app.out.line(format!("{} recorded{refused}", count(fired.recorded, "event")))
}
