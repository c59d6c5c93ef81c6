//! `retold truncate`

use super::app::App;
use super::delete::would_go;
use super::failure::Outcome;
use super::named;
use super::style::{NAME, paint};
use super::view::count;
use retold::event::Address;
use retold::lifecycle::Removal;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  retold truncate run-7 --before 100    remove the events 1 to 99 of run-7

Sequences stay as they are. Existing forks keep what they inherit, and stored states of the branch stay. Without a branch it truncates main, whichever branch is current. `retold purge` removes from the file what no fork inherits.")]
pub(super) struct Args {
    /// The branch
    #[arg(value_name = "SESSION[/BRANCH]")]
    address: String,
    /// The first sequence to keep; one after the last removes all
    #[arg(long, value_name = "SEQ")]
    before: u64,
    /// Print what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let address: Address = args.address.parse()?;
    if args.dry_run {
        let name = address.to_string();
        return would_go(&Removal::Before(address, args.before.into()), &name, app);
    }
    let store = app.changing()?;
    let branch = store.lifecycle().truncate(&address, args.before).map_err(|e| named::advised(&store, e))?;
    let current = store.current(address.session())?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &current));
    }
    let left = count(branch.events, "event");
    app.out.line(format!(
        "{} begins at @{}: {left} of its own left",
        paint(NAME, &branch.place),
        branch.first
    ))
}
