//! `retold compact`

use super::app::App;
use super::failure::Outcome;
use super::progress::Progress;
use super::view::grouped;
use super::watched::watched;
use retold::wire::CompactionView;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold compact        while the application runs

The store is copied into a new file beside its own, which then takes its place: until then the folder needs room for both. \
What `retold info` calls dead space is given back.")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.changing()?;
    let done = watched(Progress::new(&app.out, "rows", None), |told| store.maintenance().compact_with(told))?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&CompactionView::from(&done));
    }
    app.out.line(format!("{} bytes before, {} after", grouped(done.before), grouped(done.after)))
}
