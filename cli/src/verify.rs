//! `retold verify`

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::style::{BAD, GOOD, paint};
use super::table::clean;
use super::view::count;
use retold::error::Result;
use retold::store::{Report, Store};
use retold::wire::{Exit, Verified};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads every event and checks that checksums, sequences, forks, heads, the global order and the \
ids agree. Nothing is changed. The exit code is 6 if something is wrong."
)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let report = walk(&store, Progress::new(&app.out, "events", None))?;
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

/// The walk has a thread of its own: one that waits for a terminal would keep others out of the file meanwhile.
fn walk(store: &Store, mut progress: Progress) -> Result<Report> {
    let (done, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let drawing = thread::current();
    thread::scope(|scope| {
        let walk = scope.spawn(|| {
            let report = store.maintenance().verify_with(|now, of| {
                total.store(of, Ordering::Relaxed);
                done.store(now, Ordering::Relaxed);
            });
            drawing.unpark();
            report
        });
        while !walk.is_finished() {
            progress.total(total.load(Ordering::Relaxed));
            progress.set(done.load(Ordering::Relaxed));
            thread::park_timeout(LOOK);
        }
        walk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
