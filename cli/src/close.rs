//! `retold close`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::style::{NAME, paint};
use super::view::short;
use retold::event::Address;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold close run-7                    run-7 accepts no more events
  retold close run-7/retry              the same for one of its branches

A closed branch can be read and forked. Tailing it ends after its last event. Without a branch it closes main, \
whichever branch is current. Closing it again changes nothing.")]
pub(super) struct Args {
    /// The branch
    #[arg(value_name = "SESSION[/BRANCH]")]
    address: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let address: Address = args.address.parse()?;
    let store = app.changing()?;
    let branch = store.lifecycle().close(&address).map_err(|e| named::advised(&store, e))?;
    let current = store.current(address.session())?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &current));
    }
    let at = branch.closed.map(short).unwrap_or_default();
    app.out.line(format!("{} was closed after @{} at {at}", paint(NAME, &branch.place), branch.head))
}
