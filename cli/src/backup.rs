//! `retold backup`, `retold restore`

use std::path::PathBuf;

use super::app::App;
use super::failure::Outcome;
use super::progress::Progress;
use super::remote::file_only;
use super::span::since;
use super::style::{DIM, NAME, paint};
use super::table::clean;
use super::view::{count, grouped};
use super::watched::watched;
use retold::event::Timestamp;
use retold::store::recovery::{RestoreUntil, Restored, restore_chain_with};
use retold::wire::{BackupView, RestoredView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold backup runs-2026-11-28.redb        while the application runs
  retold restore runs-2026-11-28.redb       under the name of --store, which must be free

  retold backup monday.redb                               the full one
  retold backup tuesday.redb --since monday.redb          what is new since then
  retold backup wednesday.redb --since tuesday.redb
  retold restore monday.redb tuesday.redb wednesday.redb

The copy has everything that was acknowledged when the command began, and is checked before the command ends. It is a \
store of its own: every verb works on it with --store.

With --since, the file has the events that came after the earlier backup, and all branches and records as they are now. It is \
checked in the same way, but is not a store by itself: keep every file back to the full backup. The earlier backup is only read.")]
pub(super) struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Write only what is new since this backup, full or incremental
    #[arg(long, value_name = "EARLIER")]
    since: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mv runs.redb runs.broken.redb
  retold restore runs-2026-11-28.redb --store runs.redb
  retold restore runs-2026-11-28.redb --store runs.redb --to-time 2026-11-28T02:40:00Z
  retold restore monday.redb tuesday.redb wednesday.redb --store runs.redb

The backups are only read, and the new store is checked. Nothing is overwritten: move the old store away first. With \
--to-position or --to-time, the new store has every commit up to there as a whole; consumers go back to that point, dead \
letters, timers and imports that came later are gone, and projections are rebuilt.")]
pub(super) struct RestoreArgs {
    /// The full backup, then every incremental one in the order in which they were made
    #[arg(value_name = "FILE", required = true)]
    from: Vec<PathBuf>,
    /// Restore commits up to this position
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// Restore commits up to this time, or until this long ago: 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    to_time: Option<Timestamp>,
}

pub(super) fn run(args: &BackupArgs, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let progress = Progress::new(&app.out, "events", None);
    let made =
        watched(progress, |told| store.maintenance().backup_with(&args.to, args.since.as_deref(), told))?;
    if !app.out.is_table() {
        return app.out.document(&BackupView::from(&made));
    }
    let events = match made.since {
        None => count(made.position.get(), "event"),
        Some(since) => {
            let later = count(made.position.get() - since.get(), "event");
            format!("{later} after position {}", grouped(since.get()))
        }
    };
    let what = format!("{events}, {} bytes", grouped(made.bytes));
    app.out.line(format!("{}  {}", paint(NAME, clean(&made.path.display().to_string())), paint(DIM, what)))
}

pub(super) fn restore(args: &RestoreArgs, app: &mut App) -> Outcome {
    let store = file_only(&app.store, "restore")?.to_owned();
    let until = match (args.to_position, args.to_time) {
        (Some(position), _) => RestoreUntil::Position(position.into()),
        (_, Some(time)) => RestoreUntil::Time(time),
        (None, None) => RestoreUntil::End,
    };
    let made = watched(Progress::new(&app.out, "events", None), |told| {
        restore_chain_with(&args.from, &store, until, told)
    })?;
    if !app.out.is_table() {
        return app.out.document(&RestoredView::from(&made));
    }
    let what = match until {
        RestoreUntil::End => held(&made),
        _ => {
            let (events, branches) = (count(made.left_out, "event"), count(made.branches_left_out, "branch"));
            format!("{}; {events} and {branches} left out", held(&made))
        }
    };
    app.out.line(format!("{}  {}", paint(NAME, clean(&made.path.display().to_string())), paint(DIM, what)))
}

fn held(made: &Restored) -> String {
    format!("{}, {} bytes", count(made.position.get(), "event"), grouped(made.bytes))
}
