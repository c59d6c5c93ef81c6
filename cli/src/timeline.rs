//! `retold timeline`

mod bars;
mod chart;
mod scale;
mod svg;
mod tree;
mod zoom;

use std::path::PathBuf;

use super::app::App;
use super::current::Shown;
use super::draft::Draft;
use super::failure::Outcome;
use super::style::{DIM, paint};
use super::table::clean;
use chart::Chart;
use retold::agents::detail_of;
use retold::error::Error;
use retold::event::{BranchName, Timestamp};
use retold::project::{Lasting, Timeline};
use retold::store::Query;
use retold::wire::TimelineView;
use scale::Scale;
use tree::tree;
use zoom::{Edge, Zoom, edge};

/// Entities shown in the terminal and in a picture by default.
const ROWS: usize = 40;
const ROWS_IN_PICTURE: usize = 150;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Times are those at which events occurred. Entities that have not ended extend to the last event. An entity \
is below the one that it is part of: tools below their step, steps below their run.

Examples:
  retold timeline run-7
  retold timeline run-7 --from +90s --to +2m         half a minute of it
  retold timeline run-7 --from 40 --to 60            from event 40 to event 60
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
    /// Begin here: at a time, a span after the first event (+90s), or the event with a sequence
    #[arg(long, value_name = "TIME|+SPAN|SEQ", value_parser = edge)]
    from: Option<Edge>,
    /// End here: at a time, a span after the first event (+2m), or the event with a sequence
    #[arg(long, value_name = "TIME|+SPAN|SEQ", value_parser = edge)]
    to: Option<Edge>,
    /// At most this many entities, the longest-lasting ones; 0 for all [default: 40, in a picture 150]
    #[arg(long, value_name = "N", hide_default_value = true)]
    limit: Option<usize>,
    /// Write an SVG picture to this file instead
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let shown: Shown = args.of.parse()?;
    let mut timeline = Timeline::new(app.catalogue()?).detailed(detail_of);
    let mut zoom = Zoom::new(args.from, args.to);
    let store = app.reading()?;
    let address = shown.resolve(&store, &mut app.out)?;
    if address.sequence().is_some_and(|n| store.head(address.clone()).is_ok_and(|head| head < n)) {
        return Err(Error::not_found("event", address).into());
    }
    for event in store.events(Query::branch(address.clone())?)? {
        let event = event?;
        timeline.take(&event);
        zoom.take(&event);
    }
    timeline.close();
    let is_main = *address.branch() == BranchName::main();
    let title = clean(&if is_main { args.of.clone() } else { address.to_string() });
    let part = timeline.range().map(|whole| zoom.of(whole)).transpose()?.flatten();
    if !app.out.is_table() && args.svg.is_none() {
        return app.out.document(&TimelineView::within(address.to_string(), &timeline, part));
    }
    let Some(whole) = timeline.range() else {
        app.out.note(paint(DIM, format!("{title} has no events")));
        return Ok(());
    };
    let usual = if args.svg.is_some() { ROWS_IN_PICTURE } else { ROWS };
    let limit = args.limit.map_or(usual, |limit| if limit == 0 { usize::MAX } else { limit });
    let (from, to) = part.unwrap_or(whole);
    let (rows, others) = longest(timeline.entities(), (from, to), args.kind.as_deref(), limit);
    if rows.is_empty() && part.is_some() {
        app.out.note(paint(DIM, format!("nothing of {title} happened between {from} and {to}")));
    }
    let rows = tree(timeline.entities(), &rows);
    let chart = Chart { title, timeline: &timeline, rows, others, scale: Scale::new(from, to) };
    let Some(file) = &args.svg else { return bars::draw(&chart, app) };
    let mut draft = Draft::new(file)?;
    draft.write(svg::draw(&chart).as_bytes())?;
    draft.finish()?;
    app.out.note(paint(DIM, format!("{}: {}", file.display(), chart.subtitle())));
    Ok(())
}

/// The entities of a part of the time that last longest in it, in order of appearance, and how many others there are.
fn longest(
    all: &[Lasting],
    (from, to): (Timestamp, Timestamp),
    kind: Option<&str>,
    limit: usize,
) -> (Vec<usize>, usize) {
    let is_wanted = |e: &Lasting| kind.is_none_or(|kind| e.kind == kind) && e.from() <= to && e.to() >= from;
    let mut wanted: Vec<usize> =
        all.iter().enumerate().filter(|(_, e)| is_wanted(e)).map(|(at, _)| at).collect();
    let others = wanted.len().saturating_sub(limit);
    if others > 0 {
        let lasts = |e: &Lasting| e.to().min(to).micros().saturating_sub(e.from().max(from).micros());
        wanted.sort_by_key(|at| std::cmp::Reverse(all.get(*at).map(lasts)));
        wanted.truncate(limit);
        wanted.sort_unstable();
    }
    (wanted, others)
}
