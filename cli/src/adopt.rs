//! `retold adopt`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::style::{NAME, paint};
use retold::event::Address;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold adopt run-7/retry              read, describe, timeline, state and ls show retry for run-7
  retold adopt run-7/main               back to main

Only what is shown changes: an append without a branch still goes to main, and a fork without one still starts from \
main. An import adopts the branch that was written last. To bring a branch's events to main, use promote.")]
pub(super) struct Args {
    /// The branch to make current
    #[arg(value_name = "SESSION/BRANCH")]
    address: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    const WHOLE: &str = "only a whole branch can be adopted";
    let address: Address = args.address.parse()?;
    let place = address.branch_only(WHOLE)?;
    let store = app.changing()?;
    store.set_current(&place.session, &place.branch).map_err(|e| named::advised(&store, e))?;
    let branch = store.branch(place.clone())?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &place.branch));
    }
    app.out.line(format!("{} is the current branch of {}", paint(NAME, place), place.session))
}
