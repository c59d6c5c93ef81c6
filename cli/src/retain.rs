//! `retold retain`

use std::time::Duration;

use bytesize::ByteSize;

use super::app::App;
use super::failure::Outcome;
use super::span::{ago, seconds};
use super::style::{DIM, NAME};
use super::table::{Table, cell};
use super::view::{count, grouped};
use retold::event::{NamePattern, Timestamp};
use retold::lifecycle::{RetentionPolicy, Retired};
use retold::wire::RetiredView;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("limits").required(true).multiple(true))]
#[command(after_help = "Examples:
  retold retain --max-age 90d --dry-run                  show what would be deleted
  retold retain --max-age 90d                            delete sessions whose latest event is older
  retold retain --sessions 'nightly-*' --max-sessions 30 keep the newest 30 of these
  retold retain --max-bytes 20GB                         keep the newest, up to 20 GB of events
  retold retain --max-events 10000                       keep the latest 10,000 events of each branch

If several limits are given, all of them apply. Sessions with a lease are not deleted. Nothing happens automatically: run it from cron or a systemd timer. `retold purge` then frees the space.")]
pub(super) struct Args {
    /// Only sessions whose name matches this glob, with * and ?
    #[arg(long, value_name = "GLOB")]
    sessions: Option<NamePattern>,
    /// Delete sessions whose latest event is older than this: 12h, 90d
    #[arg(long, value_name = "SPAN", value_parser = seconds, group = "limits")]
    max_age: Option<Duration>,
    /// Keep this many of the newest sessions
    #[arg(long, value_name = "N", group = "limits", value_parser = clap::value_parser!(u64).range(1..))]
    max_sessions: Option<u64>,
    /// Keep the newest sessions up to this many bytes of events: 500MB, 20GiB. Reads the whole store
    #[arg(long, value_name = "SIZE", group = "limits")]
    max_bytes: Option<ByteSize>,
    /// Keep this many of the latest events of each branch
    #[arg(long, value_name = "N", group = "limits", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// Print what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    fn policy(&self) -> RetentionPolicy {
        let mut policy = RetentionPolicy::new();
        if let Some(names) = &self.sessions {
            policy = policy.sessions(names.clone());
        }
        if let Some(age) = self.max_age {
            policy = policy.max_age(age);
        }
        if let Some(sessions) = self.max_sessions {
            policy = policy.max_sessions(sessions);
        }
        if let Some(bytes) = self.max_bytes {
            policy = policy.max_bytes(bytes.as_u64());
        }
        if let Some(events) = self.max_events {
            policy = policy.max_events(events);
        }
        policy
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let (store, policy) = (if args.dry_run { app.reading()? } else { app.changing()? }, args.policy());
    let retired = match args.dry_run {
        true => store.lifecycle().preview_retention(&policy)?,
        false => store.lifecycle().retain(&policy)?,
    };
    store.close()?;
    if !app.out.is_table() {
        return app.out.document(&RetiredView::new(&retired, args.dry_run));
    }
    sessions(&retired, app)?;
    branches(&retired, app)?;
    let mut parts = vec![count(retired.sessions.len() as u64, "session")];
    if args.max_events.is_some() {
        let events = retired.branches.iter().map(|branch| branch.events).sum();
        let branches = count(retired.branches.len() as u64, "branch");
        parts.push(format!("{} of {branches} that stay", count(events, "event")));
    }
    let parts = parts.join(", and ");
    let in_use = match retired.in_use.len() as u64 {
        0 => String::new(),
        held => format!("; kept because in use: {}", count(held, "session")),
    };
    app.out.line(match args.dry_run {
        true => format!("{parts} would be removed{in_use}; nothing was changed"),
        false => format!("deleted: {parts}{in_use}"),
    })
}

fn sessions(retired: &Retired, app: &mut App) -> Outcome {
    if retired.sessions.is_empty() {
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table =
        Table::new(&["SESSION", "#EVENTS", "#BRANCHES", "#BYTES", "#LAST", "OVER"], app.out.width());
    for session in &retired.sessions {
        let lines = table.row(vec![
            cell(&session.session).style(NAME),
            cell(session.events),
            cell(session.branches),
            cell(session.bytes.map(grouped).unwrap_or_default()),
            cell(ago(session.last, now)).style(DIM),
            cell(session.limit.name()),
        ]);
        app.out.lines(lines)?;
    }
    app.out.lines(table.lines())
}

fn branches(retired: &Retired, app: &mut App) -> Outcome {
    if retired.branches.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["BRANCH", "#FIRST KEPT", "#EVENTS REMOVED"], app.out.width());
    for branch in &retired.branches {
        let lines = table.row(vec![cell(&branch.place).style(NAME), cell(branch.first), cell(branch.events)]);
        app.out.lines(lines)?;
    }
    app.out.lines(table.lines())
}
