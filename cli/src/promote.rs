//! `retold promote`

use super::app::App;
use super::failure::{Failure, Outcome};
use super::named;
use super::style::{NAME, paint};
use super::view::count;
use retold::error::Error;
use retold::event::Address;
use retold::wire::AppendedMany;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold promote run-7/retry            main continues with retry's own events

The parent must not have new events since the fork; otherwise nothing is written and the exit code is 3: use adopt to make the branch current instead. The branch itself stays. Promoting again writes nothing. If the branch was the current one of its session, its parent becomes current.")]
pub(super) struct Args {
    /// The branch to promote
    #[arg(value_name = "SESSION/BRANCH")]
    address: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    // It appends: the name is taken as it is.
    let address: Address = args.address.parse()?;
    let store = app.changing()?;
    let receipt = store.promote(&address).map_err(|error| match error {
        Error::Conflict { .. } => {
            let hint = format!(
                "`retold adopt {}` makes it the current branch instead; `retold diff` compares them",
                address.place()
            );
            Failure::Advised(Box::new((error, hint)))
        }
        error => named::advised(&store, error),
    })?;
    store.close()?;
    let Some(placed) = receipt.parts().first() else { return Ok(()) };
    if !app.out.is_table() {
        return app.out.document(&AppendedMany::new(placed, &receipt));
    }
    let events = count(placed.last.get() + 1 - placed.first.get(), "event");
    let place = paint(NAME, format!("{}@{}", placed.place, placed.last));
    let known = if receipt.duplicate() { ", already promoted" } else { "" };
    app.out.line(format!("{events} of {} promoted: {place}{known}", address.place()))
}
