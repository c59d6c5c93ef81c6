//! `retold repair`

use std::path::PathBuf;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::style::{BAD, DIM, GOOD, NAME, paint};
use super::table::clean;
use super::view::count;
use super::watched::watched;
use retold::store::recovery::repair_with;
use retold::wire::{Exit, RepairedView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold repair runs.redb --out repaired.redb

The damaged file is only read, and may not be open anywhere. Every readable event keeps its address and position. Each lost event is replaced by one of the type store.event.lost. Everything that was lost is printed, and the exit code is then 6. The new store is checked before the command ends.")]
pub(super) struct Args {
    /// The damaged file
    #[arg(value_name = "FILE")]
    damaged: PathBuf,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let made =
        watched(Progress::new(&app.out, "events", None), |told| repair_with(&args.damaged, &args.out, told))?;
    if app.out.is_table() {
        for damage in &made.damage {
            app.out.line(paint(DIM, clean(&damage.to_string())))?;
        }
        for lost in &made.lost {
            app.out.line(paint(BAD, clean(&lost.to_string())))?;
        }
        let kept = format!(
            "{}, {} and {} kept",
            count(made.events, "event"),
            count(made.branches, "branch"),
            count(made.records, "record")
        );
        let verdict = match made.lost.len() {
            0 => paint(GOOD, "nothing lost"),
            _ => paint(BAD, "data lost"),
        };
        let name = paint(NAME, clean(&made.path.display().to_string()));
        app.out.line(format!("{name}  {verdict}: {kept}"))?;
    } else {
        app.out.document(&RepairedView::from(&made))?;
    }
    if made.lost.is_empty() { Ok(()) } else { Err(Failure::Reported(Exit::Corrupt)) }
}
