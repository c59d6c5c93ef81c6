//! `retold verify`

use super::app::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::style::{BAD, GOOD, paint};
use super::table::clean;
use super::view::count;
use super::watched::watched;
use retold::wire::{Exit, Verified};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads every event and checks that checksums, sequences, forks, heads, the global order and the \
ids agree. Nothing is changed. The exit code is 6 if something is wrong."
)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let report =
        watched(Progress::new(&app.out, "events", None), |told| store.maintenance().verify_with(told))?;
    if !app.out.is_table() {
        app.out.document(&Verified::from(&report))?;
    } else {
        for problem in &report.problems {
            app.out.line(paint(BAD, clean(&problem.to_string())))?;
        }
        let walked = format!(
            "{} of {} in {}",
            count(report.events, "event"),
            count(report.branches, "branch"),
            count(report.chunks, "chunk")
        );
        let verdict = match report.problems.len() as u64 {
            0 => paint(GOOD, "clean"),
            n => paint(BAD, count(n, "problem")),
        };
        app.out.line(format!("{verdict}: {walked}"))?;
    }
    if report.is_clean() { Ok(()) } else { Err(Failure::Reported(Exit::Corrupt)) }
}
