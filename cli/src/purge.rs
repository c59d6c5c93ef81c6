//! `retold purge`

use super::app::App;
use super::failure::Outcome;
use super::style::{ERROR, paint};
use super::view::{count, grouped};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Appends continue in the meantime. If it is interrupted, run it again. New events use the freed space; the file does not shrink."
)]
pub(super) struct Args {
    /// Print about how much of the file would be freed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    if args.dry_run {
        return would_free(app);
    }
    let store = app.changing()?;
    let purged = store.lifecycle().purge()?;
    // What was purged is not to be found in the index either.
    let swept = store.search().sweep();
    store.close()?;
    let left = match swept {
        Ok(Some(_)) => None,
        Ok(None) => Some("another process is writing it; the next search removes them".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = left {
        app.out.say(format!(
            "{} words of what was purged may be left in the search index: {why}",
            paint(ERROR, "warning:")
        ));
    }
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({ "events": purged.events, "bytes": purged.bytes }));
    }
    app.out.line(format!("{} removed, {} bytes", count(purged.events, "event"), purged.bytes))
}

fn would_free(app: &mut App) -> Outcome {
    let store = app.reading()?;
    let dead = store.lifecycle().dead_space()?;
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&serde_json::json!({
            "would_free": dead.map(|dead| dead.unpurged), "partial": dead.is_some_and(|dead| dead.is_partial),
        }));
    }
    app.out.line(match dead {
        None => {
            "how much would be freed is not known: the file is damaged, or its owner is of an earlier release"
                .to_owned()
        }
        Some(dead) => {
            let least = if dead.is_partial { " at least" } else { "" };
            format!(
                "about {} bytes{least} of the file would be freed; nothing was changed",
                grouped(dead.unpurged)
            )
        }
    })
}
