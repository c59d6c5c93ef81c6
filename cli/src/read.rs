//! `retold read`

use super::app::App;
use super::current::Shown;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::select::Select;
use super::template::Template;
use super::view::{Events, View, of_branch};
use retold::error::Error;
use retold::store::Query;
use retold::wire::Exit;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold read run-7                     its current branch: main, unless another was adopted
  retold read run-7/retry@20            a fork, its inherited events first, up to event 20
  retold read run-7 --reverse --limit 5
  retold read run-7 --type 'tool.**' --since 2026-02-03T00:00:00Z
  retold read run-7 --where '/tool == \"cargo\"' --where '/ms > 500'
  retold read --all --from-position 1000 -o jsonl
  retold read run-7 --format '{address} {summary}'

Fields of a template: address, session, branch, sequence, position, id, type, time, recorded, source, actor, \
correlation, causation, priority, summary, speaker, text, tool, model, tokens, cost, data, and a JSON Pointer into the payload: \
{/tool}. {{ is a brace, \\t a tab, \\n a new line.")]
pub(super) struct Args {
    /// The branch; with a sequence, up to that event
    #[arg(value_name = "SESSION[/BRANCH][@SEQ]", required_unless_present = "all", conflicts_with = "all")]
    address: Option<String>,
    /// All sessions, in global order
    #[arg(long)]
    all: bool,
    /// The first sequence to print
    #[arg(long, value_name = "N", conflicts_with = "all")]
    from: Option<u64>,
    /// The last sequence to print
    #[arg(long, value_name = "N", conflicts_with = "all")]
    to: Option<u64>,
    /// With --all: the first position to print
    #[arg(long, value_name = "N", requires = "all")]
    from_position: Option<u64>,
    /// At most this many events
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Latest first
    #[arg(long)]
    reverse: bool,
    /// Go by when events were recorded, not by when they happened: --since, --until, and the times shown
    #[arg(long)]
    recorded: bool,
    /// Without upcasting: as the events were appended
    #[arg(long)]
    raw: bool,
    /// Print each event with this template: '{address} {summary}'; `retold help read` lists the fields
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "output")]
    format: Option<Template>,
    #[command(flatten)]
    select: Select,
}

pub(super) fn run(args: Args, app: &mut App) -> Outcome {
    if args.format.is_some() {
        app.out.for_templates();
    }
    let shown = args.address.as_deref().map(str::parse::<Shown>).transpose()?;
    let (filter, recorded) = args.select.filter_by(args.recorded, app)?;
    let store = app.reading()?;
    let address = shown.map(|shown| shown.resolve(&store, &mut app.out)).transpose()?;
    let mut query = match &address {
        Some(address) => Query::branch(address)?,
        None => Query::all(),
    };
    query = query.from(args.from.or(args.from_position).unwrap_or(1)).filter(filter);
    if let Some(to) = args.to {
        query = query.to(to);
    }
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    if args.reverse {
        query = query.reverse();
    }
    if args.raw {
        query = query.raw();
    }
    query = recorded.within(&store, address.as_ref(), query)?;
    let view = match &address {
        Some(address) => of_branch(&store, address)?,
        None => View::All,
    };
    let mut progress = Progress::beside(&app.out, "events", None);
    let catalogue = app.catalogue()?;
    let mut events = Events::new(&mut app.out, view, catalogue)?.recorded(args.recorded).with(args.format);
    let mut stuck = false;
    for event in store.events(query)? {
        match event {
            Ok(event) => events.event(&event)?,
            // Reported in its place; what comes after it can be read.
            Err(e @ Error::Upcast { .. }) => {
                events.flush()?;
                events.out().failure(&e.into());
                stuck = true;
            }
            Err(e) => return Err(e.into()),
        }
        progress.add(1);
    }
    events.flush()?;
    if stuck { Err(Failure::Reported(Exit::Invalid)) } else { Ok(()) }
}
