//! `retold timeline`

mod bars;
mod chart;
mod scale;
mod svg;

use std::path::PathBuf;

use super::app::App;
use super::current::Shown;
use super::draft::Draft;
use super::failure::Outcome;
use super::style::{DIM, paint};
use super::table::clean;
use chart::Chart;
use retold::error::Error;
use retold::event::BranchName;
use retold::project::{Lasting, Timeline};
use retold::store::Query;
use retold::wire::TimelineView;
use scale::Scale;

/// Entities shown in the terminal and in a picture by default.
const ROWS: usize = 40;
const ROWS_IN_PICTURE: usize = 150;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Times are those at which events occurred. Entities that have not ended extend to the last event.

Examples:
  retold timeline run-7
  retold timeline run-7/retry@120 --kind tool
  retold timeline run-7 --svg run-7.svg"
)]
pub(super) struct Args {
    /// SESSION[/BRANCH][@SEQ]; without a branch, the current one
    #[arg(value_name = "ADDRESS")]
    of: String,
    /// Only entities of this kind: task, tool, plan, run, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most this many entities, the longest-lasting ones; 0 for all [default: 40, in a picture 150]
    #[arg(long, value_name = "N", hide_default_value = true)]
    limit: Option<usize>,
    /// Write an SVG picture to this file instead
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let shown: Shown = args.of.parse()?;
    let mut timeline = Timeline::new(app.catalogue()?);
    let store = app.reading()?;
    let address = shown.resolve(&store, &mut app.out)?;
    if address.sequence().is_some_and(|n| store.head(address.clone()).is_ok_and(|head| head < n)) {
        return Err(Error::not_found("event", address).into());
    }
    for event in store.events(Query::branch(address.clone())?)? {
        timeline.take(&event?);
    }
    timeline.close();
    let is_main = *address.branch() == BranchName::main();
    let title = clean(&if is_main { args.of.clone() } else { address.to_string() });
    if !app.out.is_table() && args.svg.is_none() {
        return app.out.document(&TimelineView::new(title, &timeline));
    }
    let Some((from, to)) = timeline.range() else {
        app.out.note(paint(DIM, format!("{title} has no events")));
        return Ok(());
    };
    let usual = if args.svg.is_some() { ROWS_IN_PICTURE } else { ROWS };
    let limit = args.limit.map_or(usual, |limit| if limit == 0 { usize::MAX } else { limit });
    let (rows, others) = longest(timeline.entities(), args.kind.as_deref(), limit);
    let chart = Chart { title, timeline: &timeline, rows, others, scale: Scale::new(from, to) };
    let Some(file) = &args.svg else { return bars::draw(&chart, app) };
    let mut draft = Draft::new(file)?;
    draft.write(svg::draw(&chart).as_bytes())?;
    draft.finish()?;
    app.out.note(paint(DIM, format!("{}: {}", file.display(), chart.subtitle())));
    Ok(())
}

/// The longest-lasting entities, in order of appearance, and how many others there are.
fn longest<'a>(all: &'a [Lasting], kind: Option<&str>, limit: usize) -> (Vec<&'a Lasting>, usize) {
    let wanted: Vec<&Lasting> = all.iter().filter(|e| kind.is_none_or(|kind| e.kind == kind)).collect();
    if wanted.len() <= limit {
        return (wanted, 0);
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(wanted.get(*at).map(|e| e.micros())));
    let others = order.len() - limit;
    order.truncate(limit);
    order.sort_unstable();
    (order.into_iter().filter_map(|at| wanted.get(at).copied()).collect(), others)
}
