//! `retold log`

mod draw;
mod forest;
mod lanes;
mod rows;
mod walk;

use serde::Serialize;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::named;
use super::style::{DIM, paint};
use draw::{Pen, promoted_from};
use forest::Forest;
use lanes::Signs;
use retold::error::Error;
use retold::event::{Address, EventId, SessionId};
use retold::wire::Exit;
use rows::{EventRow, Row, Wanted, rows};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold log run-7                       the newest event first, and each branch above the event it was forked from
  retold log run-7 --graph               the same with a line for each branch, as `git log --graph` draws them
  retold log run-7 --graph --all         every event: without --all, long runs of a branch are counted
  retold log run-7 -n 20 --after run-7/retry@12
  retold log run-7 -o jsonl              every event, with the address of its parent

Always shown: the last events of a branch and its first, those at which another was forked, and what a user asked for. A name in \
parentheses is a branch, which ends there. Branches that were deleted are drawn as far as a fork still reads them.")]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
    /// Draw a line for each branch
    #[arg(long)]
    graph: bool,
    /// Draw it in ASCII [default: where the locale has no Unicode]
    #[arg(long, requires = "graph")]
    ascii: bool,
    /// Show each event, also where a long run of one branch would be counted
    #[arg(long)]
    all: bool,
    /// At most this many events
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Begin after this event: the next page
    #[arg(long, value_name = "SESSION[/BRANCH]@SEQ")]
    after: Option<Address>,
    /// Show when events were recorded, not when they happened
    #[arg(long)]
    recorded: bool,
    /// Print directly, without a pager
    #[arg(long)]
    no_pager: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    SessionId::new(&args.session)?;
    let catalogue = app.catalogue()?;
    let store = app.reading()?;
    let session = named::session(&store, &args.session, &mut app.out)?;
    let forest = Forest::of(&store, session)?;
    let after = args.after.as_ref().map(|after| place_of(&forest, after)).transpose()?;
    let is_table = app.out.is_table();
    let wanted = Wanted { all: args.all || !is_table, limit: args.limit, after };
    if is_table && !args.no_pager {
        app.out.page()?;
    }
    let signs = args.graph.then(|| if args.ascii || !has_unicode() { Signs::Ascii } else { Signs::Unicode });
    let pen = Pen::new(&forest, signs, rows::lanes(&forest), app.out.width(), args.recorded);
    app.out.begin_list()?;
    let (out, mut is_stuck) = (&mut app.out, false);
    let mut each = |row: Row| match (&row, is_table) {
        (Row::Stuck { error, .. }, _) => {
            is_stuck = true;
            match pen.draw(&row, &forest).filter(|_| is_table) {
                Some(line) => out.line(line),
                None => {
                    out.failure(&error.clone().into());
                    Ok(())
                }
            }
        }
        (_, true) => pen.draw(&row, &forest).map_or(Ok(()), |line| out.line(line)),
        (Row::Event(event), false) => out.item(&Entry::new(event, &forest)),
        (_, false) => Ok(()),
    };
    let ended = rows(&store, &forest, &catalogue, wanted, &mut each)?;
    // A pager has the screen until it ends.
    app.out.finish()?;
    if let (true, true, Some(last)) = (ended.more, is_table, &ended.last) {
        let how = format!("there are more; `--after {last}` shows the next ones, `-n N` more at once");
        app.out.note(paint(DIM, how));
    }
    if is_stuck { Err(Failure::Reported(Exit::Invalid)) } else { Ok(()) }
}

/// Where an event stands in the log.
fn place_of(forest: &Forest, after: &Address) -> Result<(usize, u64), Failure> {
    if *after.session() != forest.session {
        let text = format!("--after {after} is not an event of {}", forest.session);
        return Err(Failure::Usage(text));
    }
    forest.find(after).ok_or_else(|| Error::not_found("event", after).into())
}

/// Whether the locale is one with Unicode, as far as it says anything.
fn has_unicode() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = named.map(|locale| locale.to_lowercase()).find(|locale| !locale.is_empty());
    locale.is_none_or(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// An event of the log, as JSON.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    event: String,
    /// The event before it, in its branch or in the one that it was forked from; `null` for the first.
    parent: Option<String>,
    branch: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    branch_deleted: bool,
    position: u64,
    id: EventId,
    time: String,
    recorded: String,
    #[serde(rename = "type")]
    kind: &'a str,
    summary: &'a str,
    /// Branches that end with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tips: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promoted_from: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn new(row: &'a EventRow, forest: &'a Forest) -> Self {
        let event = &row.event;
        let name = |line: &usize| forest.names.get(*line);
        let parent = forest.parent(row.line, event.sequence().get());
        Self {
            event: row.address.to_string(),
            parent: parent.map(|parent| parent.to_string()),
            branch: name(&row.line).map_or("", |name| name.branch.as_str()),
            branch_deleted: name(&row.line).is_some_and(|name| name.is_deleted),
            position: event.position().get(),
            id: event.id(),
            time: event.occurred().to_string(),
            recorded: event.recorded().to_string(),
            kind: event.kind(),
            summary: &row.readable.summary,
            tips: row.tips.iter().filter_map(name).map(|name| name.branch.as_str()).collect(),
            promoted_from: promoted_from(row),
        }
    }
}

#[cfg(test)]
mod tests;
