//! `retold diff`

use super::app::App;
use super::diff_cells::Marking;
use super::failure::Outcome;
use super::named;
use super::output::Format;
use super::style::{DIM, NAME, paint};
use super::table::{Table, cell};
use super::view::count;
use retold::event::{Address, BranchName, Place, Sequence, SessionId};
use retold::store::Store;
use retold::store::diff::Diff;
use retold::wire::{Compared, Comparison};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold diff run-7 main retry
  retold diff run-7 main@20 retry       the first only up to event 20

= is the same, | differs, < and > are only on one side. Words that differ are coloured, or marked [-so-] and {+so+} without colours; \
where two events say the same on one line, the places of the payload that differ are shown.

With -o jsonl, each line is a pair of events with the same sequence; with -o json, `pairs` holds them.")]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
    /// A branch, BRANCH[@SEQ]
    #[arg(value_name = "A")]
    left: String,
    /// The other branch, BRANCH[@SEQ]
    #[arg(value_name = "B")]
    right: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let given = SessionId::new(&args.session)?;
    side(&given, &args.left)?;
    side(&given, &args.right)?;
    let store = app.reading()?;
    let session = named::session(&store, &args.session, &mut app.out)?;
    let mut found = |text: &str| named::address(&store, &format!("{session}/{text}"), &mut app.out);
    let (left, right) = (found(&args.left)?, found(&args.right)?);
    let diff = store.diff(&left, &right)?;
    match app.out.format {
        Format::Table => show(app, &store, (left.place(), right.place()), diff),
        Format::Json => {
            let heads = ((left.place(), diff.left.get()), (right.place(), diff.right.get()));
            app.out.begin_list_in(&Comparison::new(heads.0, heads.1, diff.common.get()), "pairs")?;
            for pair in diff.pairs {
                app.out.item(&Compared::from(&pair?))?;
            }
            Ok(())
        }
        Format::Jsonl | Format::Cloudevents => {
            for pair in diff.pairs {
                app.out.item(&Compared::from(&pair?))?;
            }
            Ok(())
        }
    }
}

fn side(session: &SessionId, text: &str) -> Result<Address, retold::event::Invalid> {
    let (branch, at) = match text.rsplit_once('@') {
        Some((branch, at)) => (branch, Some(format!("{session}@{at}").parse::<Address>()?)),
        None => (text, None),
    };
    let address = Address::new(session.clone(), BranchName::new(branch)?);
    Ok(match at.and_then(|a| a.sequence()) {
        Some(sequence) => address.at(sequence),
        None => address,
    })
}

pub(super) fn show(app: &mut App, store: &Store, places: (&Place, &Place), diff: Diff) -> Outcome {
    let (left, right) = (&places.0.branch, &places.1.branch);
    let catalogue = app.catalogue()?;
    let out = &mut app.out;
    let goes_on = |name: &BranchName, head: Sequence| {
        let own = head.get().saturating_sub(diff.common.get());
        format!("{} has {} more", paint(NAME, name), count(own, "event"))
    };
    let common = match diff.common.get() {
        0 => "nothing in common".to_owned(),
        1 => "event 1 in common".to_owned(),
        n => format!("events 1 to {n} in common"),
    };
    out.line(format!("{common}; {}, {}", goes_on(left, diff.left), goes_on(right, diff.right)))?;
    if diff.left == diff.common && diff.right == diff.common {
        return Ok(());
    }
    if diff.common > Sequence::ZERO {
        let last = store.read(
            &retold::store::Query::branch(Address::from(places.0.clone()))?.from(diff.common).to(diff.common),
        )?;
        if let Some(event) = last.events.first() {
            let line = format!("last in common: {}@{} {}", event.place(), event.sequence(), event.kind());
            out.line(paint(DIM, line))?;
        }
    }
    out.line("")?;
    // Two columns share the terminal's width, less the number and the sign between them.
    let room = out.width().map(|w| w.saturating_sub(12) / 2);
    let names = ["#SEQ", left.as_str(), "", right.as_str()];
    let mut table = Table::new(&names, out.width()).widest(room.unwrap_or(usize::MAX));
    let marking = Marking { room, has_colors: out.has_colors(), catalogue: &catalogue };
    for pair in diff.pairs {
        let pair = pair?;
        let sign = match (&pair.left, &pair.right) {
            _ if pair.is_alike() => cell("="),
            (Some(_), None) => cell("<"),
            (None, _) => cell(">"),
            _ => cell("|"),
        };
        let (old, new) = marking.cells(&pair);
        let lines = table.row(vec![cell(pair.sequence), old, sign.style(DIM), new]);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}
