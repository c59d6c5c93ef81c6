//! `retold projections`, and how the verbs find one by its name.

use super::App;
use super::failure::Outcome;
use super::style::{BAD, DIM, NAME, paint};
use super::table::{Table, cell, clean};
use super::view::{count, grouped};
use crate::error::{Error, Result};
use crate::event::Catalogue;
use crate::project::{DynProjection, ProjectionInfo, builtin};
use crate::store::Store;
use crate::wire;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A version of - has no states in the store yet: what is asked of it is folded from the events. So is \
what a projection lags behind. Answers do not depend on either."
)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let infos = store.projections()?;
    let missing: Vec<ProjectionInfo> = missing(&store, &infos, &app.catalogue()?);
    let out = &mut app.out;
    out.begin_list()?;
    let mut table = out
        .is_table()
        .then(|| Table::new(&["NAME", "#VERSION", "BY", "#POSITION", "#LAG", "PARKED"], out.width()));
    let mut parked: Vec<(String, &crate::project::Parked)> = Vec::new();
    for info in infos.iter().chain(&missing) {
        let Some(table) = &mut table else {
            out.item(&wire::Projection::from(info))?;
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

fn by(scope: crate::project::Scope) -> String {
    format!("{scope:?}").to_lowercase()
}

/// Those that this program brings and the store has no states of.
fn missing(store: &Store, infos: &[ProjectionInfo], catalogue: &Catalogue) -> Vec<ProjectionInfo> {
    let known = |name: &str| infos.iter().any(|info| info.name == name);
    let lag = store.committed().get();
    let brought = builtin::all(catalogue);
    let new = brought.iter().filter(|p| !known(p.name()));
    new.map(|p| ProjectionInfo::none(p.name(), p.scope(), lag)).collect()
}

/// The projection with this name that the program brings.
pub(super) fn find(name: &str, app: &App) -> Result<Box<dyn DynProjection>> {
    let found = builtin::all(&app.catalogue()?).into_iter().find(|p| p.name() == name);
    found.ok_or_else(|| Error::not_found("projection", name))
}
