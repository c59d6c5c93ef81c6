//! `retold delete`

use super::app::App;
use super::failure::{Failure, Outcome};
use super::named;
use super::style::{NAME, paint};
use super::view::{count, grouped};
use retold::event::{Address, SessionId};
use retold::lifecycle::{Removal, RemovalPreview};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold delete run-7/retry             one branch of a session
  retold delete run-7 --session         the session with all its branches
  retold delete run-7/retry --dry-run   show what would be deleted

A deleted branch is no longer read or listed. Its forks stay, and still read what they inherit. Its name and the ids of its events can be used again. `retold purge` removes from the file what no fork inherits.")]
pub(super) struct Args {
    /// The branch, which is named even if it is main; or a session, with --session
    #[arg(value_name = "SESSION/BRANCH")]
    address: String,
    /// Delete all branches of the session
    #[arg(long)]
    session: bool,
    /// Print what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let removal = match args.session {
        true => Removal::Session(SessionId::new(&args.address)?),
        false => {
            let address: Address = args.address.parse()?;
            if !args.address.contains('/') {
                let text = format!(
                    "name the branch, for example {address}/main, or add --session to delete all of them"
                );
                return Err(Failure::Usage(text));
            }
            Removal::Branch(address)
        }
    };
    let name = match &removal {
        Removal::Branch(address) => address.to_string(),
        _ => args.address.clone(),
    };
    if args.dry_run {
        return would_go(&removal, &name, app);
    }
    let store = app.changing()?;
    let branches = match &removal {
        Removal::Branch(address) => store.lifecycle().delete(address).map(|()| 1),
        Removal::Session(session) => store.lifecycle().delete_session(session),
        other => return Err(Failure::Usage(format!("{other:?} is not deleted"))),
    };
    let branches = branches.map_err(|e| named::advised(&store, e))?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({ "deleted": name, "branches": branches }));
    }
    app.out.line(format!("{} was deleted: {}", paint(NAME, name), count(branches, "branch")))
}

/// What would be removed.
pub(super) fn would_go(removal: &Removal, name: &str, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let preview = store.lifecycle().preview(removal).map_err(|e| named::advised(&store, e))?;
    let RemovalPreview { branches, events, bytes, inherited, .. } = preview;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({
            "would_remove": name, "branches": branches, "events": events, "bytes": bytes, "inherited": inherited,
        }));
    }
    let mut parts = vec![format!("{} ({} bytes)", count(events, "event"), grouped(bytes))];
    if branches > 0 {
        parts.insert(0, count(branches, "branch"));
    }
    if inherited > 0 {
        parts.push(format!("{} would stay for forks", count(inherited, "event")));
    }
    app.out.line(format!(
        "of {} would be removed: {}; nothing was changed",
        paint(NAME, name),
        parts.join(", ")
    ))
}
