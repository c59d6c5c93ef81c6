//! `retold backup`, `retold restore`

use std::path::{Path, PathBuf};

use super::app::App;
use super::failure::Outcome;
use super::progress::Progress;
use super::span::since;
use super::style::{DIM, NAME, paint};
use super::table::clean;
use super::view::{count, grouped};
use super::watched::watched;
use retold::Builder;
use retold::event::Timestamp;
use retold::store::recovery::{RestoreUntil, restore_with};
use retold::store::{Backup, Store};
use retold::wire::{BackupView, RestoredView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold backup runs-2026-11-28.redb        while the application goes on
  retold restore runs-2026-11-28.redb       under the name of --store, which must be free

The copy has everything that was acknowledged when the command began, and is checked before the command ends. It is a \
store of its own: every verb works on it with --store.")]
pub(super) struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mv runs.redb runs.broken.redb
  retold restore runs-2026-11-28.redb --store runs.redb
  retold restore runs-2026-11-28.redb --store runs.redb --to-time 2026-11-28T02:40:00Z

The backup is only read, and what is made of it is checked. Nothing is overwritten: move the old store away first. With \
--to-position or --to-time, the new store has every commit up to there as a whole; consumers go back to that point, dead \
letters, timers and imports that came later are gone, and projections are folded anew.")]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Restore commits up to this position
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// Restore commits that were recorded up to this time, or up to so long ago: 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    to_time: Option<Timestamp>,
}

pub(super) fn run(args: &BackupArgs, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let made = copied(&store, &args.to, app)?;
    told(&made, app)
}

pub(super) fn restore(args: &RestoreArgs, app: &mut App) -> Outcome {
    let until = match (args.to_position, args.to_time) {
        (Some(position), _) => RestoreUntil::Position(position.into()),
        (_, Some(time)) => RestoreUntil::Time(time),
        (None, None) => return restore_all(args, app),
    };
    let made = watched(Progress::new(&app.out, "events", None), |told| {
        restore_with(&args.from, &app.store, until, told)
    })?;
    if !app.out.is_table() {
        return app.out.document(&RestoredView::from(&made));
    }
    let what = format!(
        "{}, {} bytes; {} and {} left out",
        count(made.position.get(), "event"),
        grouped(made.bytes),
        count(made.left_out, "event"),
        count(made.branches_left_out, "branch"),
    );
    app.out.line(format!("{}  {}", paint(NAME, clean(&made.path.display().to_string())), paint(DIM, what)))
}

fn restore_all(args: &RestoreArgs, app: &mut App) -> Outcome {
    let backup = Builder::new().read_only().open_only().open(&args.from)?;
    let to = app.store.clone();
    let made = copied(&backup, &to, app)?;
    backup.close()?;
    told(&made, app)
}

fn copied(store: &Store, to: &Path, app: &App) -> retold::Result<Backup> {
    watched(Progress::new(&app.out, "events", None), |told| store.maintenance().backup_with(to, told))
}

fn told(made: &Backup, app: &mut App) -> Outcome {
    if !app.out.is_table() {
        return app.out.document(&BackupView::from(made));
    }
    let what = format!("{}, {} bytes", count(made.position.get(), "event"), grouped(made.bytes));
    app.out.line(format!("{}  {}", paint(NAME, clean(&made.path.display().to_string())), paint(DIM, what)))
}
