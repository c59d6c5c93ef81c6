//! `retold fork`

use super::app::App;
use super::failure::Outcome;
use super::style::{NAME, paint};
use retold::event::{Address, BranchName};
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold fork run-7@12 retry            run-7/retry shares events 1 to 12, and goes on with 13

Nothing is copied: a fork costs the same whatever the history. Without a branch it leaves main, whichever branch is \
the current one.")]
pub(super) struct Args {
    /// The last event that is shared; without @SEQ, the branch's head
    #[arg(value_name = "SESSION[/BRANCH]@SEQ")]
    address: String,
    /// The new branch
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let address: Address = args.address.parse()?;
    BranchName::new(&args.name)?;
    let store = app.changing()?;
    let branch = store.fork(&address, &args.name)?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &BranchName::main()));
    }
    app.out.line(format!("{} begins after {}@{}", paint(NAME, &branch.place), address.place(), branch.head))
}
