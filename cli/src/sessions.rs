//! `retold sessions`

use super::app::App;
use super::failure::Outcome;
use super::listing::{Page, left_out};
use super::style::{DIM, NAME};
use super::table::{Table, cell};
use super::view::short;
use retold::event::SessionId;
use retold::limits::MAX_LISTING;
use retold::store::SessionInfo;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold sessions                              in the order of their names
  retold sessions --limit 100 --after run-7    the next hundred after run-7, which need not exist
  retold sessions -o jsonl | jq -r .session

CREATED and LAST EVENT are times of recording; `retold ls` goes by when things happened.")]
pub(super) struct Args {
    #[command(flatten)]
    page: Page,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let mut after = args.page.after.as_deref().map(SessionId::new).transpose()?;
    let store = app.reading()?;
    let out = &mut app.out;
    let mut table = out.is_table().then(|| {
        Table::new(&["SESSION", "#EVENTS", "#BRANCHES", "#HEAD", "CREATED", "LAST EVENT"], out.width())
            .spare(&["CREATED", "HEAD", "BRANCHES", "LAST EVENT"])
    });
    out.begin_list()?;
    let (limit, mut shown, mut more) = (args.page.limit(out), 0, false);
    while !more {
        // One more than is shown, to see that there are more.
        let left = (limit - shown).saturating_add(1).min(MAX_LISTING);
        let page = store.sessions(after.as_ref(), left)?;
        if page.is_empty() {
            break;
        }
        for session in page {
            if shown == limit {
                more = true;
                break;
            }
            shown += 1;
            match &mut table {
                None => out.item(&wire::Session::from(&session))?,
                Some(table) => {
                    let lines = table.row(row(&session));
                    out.lines(lines)?;
                }
            }
            after = Some(session.session);
        }
    }
    let Some(mut table) = table else { return Ok(()) };
    out.lines(table.lines())?;
    match (shown, &after) {
        (0, None) if limit > 0 => out.note(format!("{} has no sessions yet", app.store.display())),
        (0, Some(after)) if limit > 0 => out.note(format!("no session comes after {after}")),
        (_, Some(last)) if more => left_out(shown, last.as_str(), None, out),
        _ => {}
    }
    Ok(())
}

fn row(session: &SessionInfo) -> Vec<super::table::Cell> {
    vec![
        cell(&session.session).style(NAME),
        cell(session.events),
        cell(session.branches),
        cell(session.head),
        cell(short(session.created)).style(DIM),
        cell(session.last.map(short).unwrap_or_default()).style(DIM),
    ]
}
