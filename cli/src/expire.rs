//! `retold expire`

use std::time::Duration;

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::span::{ahead, seconds};
use super::style::{NAME, paint};
use super::view::short;
use retold::event::{Address, Timestamp};
use retold::lifecycle::Expiry;
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("when").required(true))]
#[command(after_help = "Examples:
  retold expire run-7 --unused 30d               when it has not been read or appended to for 30 days
  retold expire run-7/retry --at 12h             in twelve hours
  retold expire run-7 --at 2027-01-01T00:00:00Z  at that time
  retold expire run-7 --never                    it stays until it is deleted

An expired branch is deleted as with `retold delete`: its forks stay, and `retold purge` frees the space. A new setting the \
place of the one before. Reads count only while a process has the store open for writing. Without a branch it applies to main, whichever branch is current; its forks do not expire with it.")]
pub(super) struct Args {
    /// The branch
    #[arg(value_name = "SESSION[/BRANCH]")]
    address: String,
    /// At this time, or this long from now
    #[arg(long, value_name = "TIME", value_parser = ahead, group = "when")]
    at: Option<Timestamp>,
    /// When it has not been read or appended to for this long: 90s, 12h, 30d
    #[arg(long, value_name = "SPAN", value_parser = seconds, group = "when")]
    unused: Option<Duration>,
    /// Never
    #[arg(long, group = "when")]
    never: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let address: Address = args.address.parse()?;
    let expiry = args.at.map(Expiry::At).or_else(|| args.unused.map(Expiry::Unused));
    let store = app.changing()?;
    let branch = store.lifecycle().expire(&address, expiry).map_err(|e| named::advised(&store, e))?;
    let current = store.current(address.session())?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&wire::Branch::new(&branch, &current));
    }
    let name = paint(NAME, &branch.place);
    app.out.line(match (branch.expires, args.unused.is_some()) {
        (None, _) => format!("{name} does not expire"),
        (Some(at), true) => format!("{name} expires at {}, unless it is used until then", short(at)),
        (Some(at), false) => format!("{name} expires at {}", short(at)),
    })
}
