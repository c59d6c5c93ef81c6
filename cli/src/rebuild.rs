//! `retold rebuild`

use std::time::{Duration, Instant};

use super::app::App;
use super::failure::Outcome;
use super::progress::Progress;
use super::projections::find;
use super::style::{GOOD, paint};
use super::view::{count, grouped};
use retold::agents::projections;
use retold::project::DynProjection;
use retold::wire::Rebuilt;

/// The pause between two progress updates.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "New states are built beside the old ones, and replace them when complete. If interrupted, \
run it again to continue."
)]
pub(super) struct Args {
    /// The projection
    #[arg(value_name = "PROJECTION", required_unless_present = "all")]
    name: Option<String>,
    /// All built-in projections
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let wanted: Vec<Box<dyn DynProjection>> = match &args.name {
        Some(name) => vec![find(name, app)?],
        None => projections::all(&app.catalogue()?),
    };
    let store = app.changing()?;
    app.out.begin_list()?;
    let known = store.projections().list()?;
    let has = |name: &str| known.iter().any(|info| info.name == name && info.version.is_some());
    for projection in wanted {
        // A projection that raises events starts only when it is named, or where it already runs.
        if args.all && projection.reacts() && !has(projection.name()) {
            continue;
        }
        let projected = store.project_dyn(projection)?;
        // Registering it may have started a rebuild: the first, or one for a new version.
        let rebuild = match projected.rebuilding() {
            Some(rebuild) => rebuild,
            None => projected.rebuild()?,
        };
        let begun = Instant::now();
        let mut bar = Progress::new(&app.out, "events", Some(rebuild.progress().total));
        while rebuild.wait_for(LOOK)?.is_none() {
            bar.set(rebuild.progress().done);
        }
        drop(bar);
        projected.catch_up()?;
        let (name, seconds) = (projected.name(), begun.elapsed().as_secs_f64());
        let events = rebuild.progress().done;
        let infos = store.projections().list()?;
        let parked = infos.iter().find(|info| info.name == name).map_or(0, |info| info.parked.len() as u64);
        if !app.out.is_table() {
            app.out.item(&Rebuilt { projection: name, events, seconds, parked })?;
            continue;
        }
        let rate = grouped((events as f64 / seconds.max(1e-6)) as u64);
        let mut line =
            format!("{}: {} in {seconds:.1} s, {rate} per second", paint(GOOD, name), count(events, "event"));
        if parked > 0 {
            line += &format!("; parked at {}, see `retold projections`", count(parked, "key"));
        }
        app.out.line(line)?;
    }
    store.close()?;
    Ok(())
}
