//! `retold projections`, and how the verbs find one by its name.

use super::app::App;
use super::failure::Outcome;
use super::style::{BAD, DIM, GOOD, NAME, paint};
use super::table::{Table, cell, clean};
use super::view::{count, grouped};
use retold::agents::projections;
use retold::error::{Error, Result};
use retold::event::Catalogue;
use retold::project::{DynProjection, ProjectionInfo, Retried};
use retold::store::Store;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A projection with version - has no states in the store yet: its states are folded from the events when they are read, and so are the events that a projection lags behind. The results are the same either way."
)]
pub(super) struct Args {
    /// Resume a projection where it is parked, once the cause is fixed
    #[arg(long, value_name = "PROJECTION")]
    retry: Option<String>,
    /// Only for this branch, session or key
    #[arg(long, value_name = "KEY", requires = "retry")]
    key: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    match &args.retry {
        Some(name) => retry(name, args.key.as_deref(), app),
        None => list(app),
    }
}

fn retry(name: &str, key: Option<&str>, app: &mut App) -> Outcome {
    let projection = find(name, app)?;
    let store = app.changing()?;
    let known = store.projections().list()?;
    let is_parked = known.iter().any(|info| info.name == name && !info.parked.is_empty());
    // Asking about a projection does not start it.
    let retried = match (is_parked, key) {
        (true, key) => {
            let projected = store.project_dyn(projection)?;
            let retried = key.map_or_else(|| projected.retry(), |key| projected.retry_of(key))?;
            projected.catch_up()?;
            retried
        }
        (false, Some(key)) => return Err(Error::not_found("parked key", format!("{key} of {name}")).into()),
        (false, None) => Retried::default(),
    };
    store.close()?;
    let Retried { mended, parked, .. } = retried;
    if !app.out.is_table() {
        return app.out.document(&wire::RetriedView { projection: name, mended, parked });
    }
    app.out.line(match (mended as u64, parked as u64) {
        (0, 0) => format!("{name} is not parked"),
        (mended, 0) => format!("{}: {} resumed", paint(GOOD, name), goes(mended)),
        (0, parked) => {
            format!("{}: {} still parked, see `retold projections`", paint(BAD, name), stays(parked))
        }
        (mended, parked) => format!(
            "{}: {} resumed, {} still parked, see `retold projections`",
            paint(BAD, name),
            goes(mended),
            stays(parked)
        ),
    })
}

fn goes(n: u64) -> String {
    format!("{} {}", count(n, "key"), if n == 1 { "goes" } else { "go" })
}

fn stays(n: u64) -> String {
    format!("{} {}", count(n, "key"), if n == 1 { "is" } else { "are" })
}

fn list(app: &mut App) -> Outcome {
    let store = app.reading()?;
    let infos = store.projections().list()?;
    let missing: Vec<ProjectionInfo> = missing(&store, &infos, &app.catalogue()?);
    let out = &mut app.out;
    out.begin_list()?;
    let mut table = out
        .is_table()
        .then(|| Table::new(&["NAME", "#VERSION", "BY", "#POSITION", "#LAG", "PARKED"], out.width()));
    let mut parked: Vec<(String, &retold::project::Parked)> = Vec::new();
    for info in infos.iter().chain(&missing) {
        let Some(table) = &mut table else {
            out.item(&wire::ProjectionView::from(info))?;
            continue;
        };
        let version = info.version.map_or("-".to_owned(), |v| v.to_string());
        let version = info.next_version.map_or(version.clone(), |next| format!("{version} → {next}"));
        let lines = table.row(vec![
            cell(&info.name).style(NAME),
            cell(version),
            cell(info.scope.map(by).unwrap_or_default()).style(DIM),
            cell(grouped(info.position.get())),
            cell(grouped(info.lag)),
            match info.parked.len() as u64 {
                0 => cell(""),
                n => cell(count(n, "key")).style(BAD),
            },
        ]);
        out.lines(lines)?;
        parked.extend(info.parked.iter().map(|p| (info.name.clone(), p)));
    }
    if let Some(mut table) = table {
        out.lines(table.lines())?;
        for (name, parked) in parked {
            let line = format!("{name} is parked at {} for {}: {}", parked.at, parked.of, parked.reason);
            out.line(paint(BAD, clean(&line)))?;
        }
    }
    Ok(())
}

fn by(scope: retold::project::Scope) -> String {
    format!("{scope:?}").to_lowercase()
}

/// Projections of this program that have no states in the store.
fn missing(store: &Store, infos: &[ProjectionInfo], catalogue: &Catalogue) -> Vec<ProjectionInfo> {
    let known = |name: &str| infos.iter().any(|info| info.name == name);
    let lag = store.committed().get();
    let brought = projections::all(catalogue);
    let new = brought.iter().filter(|p| !known(p.name()));
    new.map(|p| ProjectionInfo::none(p.name(), p.scope(), lag)).collect()
}

/// The program's projection with this name.
pub(super) fn find(name: &str, app: &App) -> Result<Box<dyn DynProjection>> {
    let found = projections::all(&app.catalogue()?).into_iter().find(|p| p.name() == name);
    found.ok_or_else(|| Error::not_found("projection", name))
}
