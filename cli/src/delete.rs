//! `retold delete`

use super::app::App;
use super::failure::{Failure, Outcome};
use super::style::{NAME, paint};
use super::view::count;
use retold::event::{Address, SessionId};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold delete run-7/retry             one branch of a session
  retold delete run-7 --session         the session with all its branches

Nothing of a deleted branch is read or listed any more; its forks go on, and read what they inherit. Its name and the ids of \
its events are free again. `retold purge` removes from the file what no fork inherits.")]
pub(super) struct Args {
    /// The branch, which is named even if it is main; or a session, with --session
    #[arg(value_name = "SESSION/BRANCH")]
    address: String,
    /// Delete all branches of the session
    #[arg(long)]
    session: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let (name, branches) = match args.session {
        true => {
            let session = SessionId::new(&args.address)?;
            let store = app.changing()?;
            let branches = store.lifecycle().delete_session(&session)?;
            store.close()?;
            (session.to_string(), branches)
        }
        false => {
            let address: Address = args.address.parse()?;
            if !args.address.contains('/') {
                let text =
                    format!("name the branch, {address}/main for example, or add --session for all of them");
                return Err(Failure::Usage(text));
            }
            let store = app.changing()?;
            store.lifecycle().delete(&address)?;
            store.close()?;
            (address.to_string(), 1)
        }
    };
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({ "deleted": name, "branches": branches }));
    }
    app.out.line(format!("{} was deleted: {}", paint(NAME, name), count(branches, "branch")))
}
