//! `retold backup`, `retold restore`

use std::path::{Path, PathBuf};

use super::app::App;
use super::failure::Outcome;
use super::progress::Progress;
use super::style::{DIM, NAME, paint};
use super::table::clean;
use super::view::{count, grouped};
use super::watched::watched;
use retold::Builder;
use retold::store::{Backup, Store};
use retold::wire::BackupView;

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
#[command(after_help = "Example:
  mv runs.redb runs.broken.redb
  retold restore runs-2026-11-28.redb --store runs.redb

The backup is only read, and what is made of it is checked. Nothing is overwritten: move the old store away first.")]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    from: PathBuf,
}

pub(super) fn run(args: &BackupArgs, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let made = copied(&store, &args.to, app)?;
    told(&made, app)
}

pub(super) fn restore(args: &RestoreArgs, app: &mut App) -> Outcome {
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
