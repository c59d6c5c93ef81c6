//! `retold fork`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::style::{NAME, paint};
use retold::event::{Address, BranchName};
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold fork run-7@12 retry            run-7/retry shares events 1 to 12, and continues with 13

Nothing is copied: the cost of a fork does not depend on the length of the history. Without a branch it forks main, whichever branch is \
current.")]
pub(super) struct Args {
    /// The last event to share; without @SEQ, the branch's head
    #[arg(value_name = "SESSION[/BRANCH]@SEQ")]
    address: String,
    /// The name of the new branch
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    args.address.parse::<Address>()?;
    BranchName::new(&args.name)?;
    let store = app.changing()?;
    let address = named::address(&store, &args.address, &mut app.out)?;
    let branch = store.fork(&address, &args.name)?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &BranchName::main()));
    }
    app.out.line(format!("{} starts after {}@{}", paint(NAME, &branch.place), address.place(), branch.head))
}
