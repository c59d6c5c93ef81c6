//! `retold purge`

use super::app::App;
use super::failure::Outcome;
use super::view::count;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Appends continue in the meantime. If it is interrupted, run it again. New events use the freed space; the file does not shrink."
)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.changing()?;
    let purged = store.lifecycle().purge()?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({ "events": purged.events, "bytes": purged.bytes }));
    }
    app.out.line(format!("{} removed, {} bytes", count(purged.events, "event"), purged.bytes))
}
