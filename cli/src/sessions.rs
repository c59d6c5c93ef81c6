//! `retold sessions`

use super::app::App;
use super::failure::Outcome;
use super::style::{DIM, NAME};
use super::table::{Table, cell};
use super::view::short;
use retold::limits::MAX_LISTING;
use retold::store::SessionInfo;
use retold::wire;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let out = &mut app.out;
    let mut table = out.is_table().then(|| {
        Table::new(&["SESSION", "#EVENTS", "#BRANCHES", "#HEAD", "CREATED", "LAST EVENT"], out.width())
            .spare(&["CREATED"])
    });
    out.begin_list()?;
    let mut last: Option<SessionInfo> = None;
    loop {
        let page = store.sessions(last.as_ref().map(|s| &s.session), MAX_LISTING)?;
        if page.is_empty() {
            break;
        }
        for session in &page {
            match &mut table {
                None => out.item(&wire::Session::from(session))?,
                Some(table) => {
                    let lines = table.row(vec![
                        cell(&session.session).style(NAME),
                        cell(session.events),
                        cell(session.branches),
                        cell(session.head),
                        cell(short(session.created)).style(DIM),
                        cell(session.last.map(short).unwrap_or_default()).style(DIM),
                    ]);
                    out.lines(lines)?;
                }
            }
        }
        last = page.into_iter().next_back();
    }
    if let Some(mut table) = table {
        if last.is_none() {
            out.note(format!("{} has no sessions yet", app.store.display()));
        }
        out.lines(table.lines())?;
    }
    Ok(())
}
