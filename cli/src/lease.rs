//! `retold lease`

use std::time::Duration;

use serde_json::json;

use super::app::App;
use super::failure::Outcome;
use super::span::{seconds, span};
use super::style::{DIM, NAME, paint};
use super::table::{Table, cell, clean};
use super::view::short;
use retold::event::Timestamp;
use retold::limits::MAX_LISTING;
use retold::store::leases::{FencingToken, Lease};
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(after_help = "Examples:
  TOKEN=$(retold lease acquire run-7 --holder worker-1 --for 30s -o json | jq -r .token)
  retold append run-7 step.completed --lease \"$TOKEN\"
  retold lease renew \"$TOKEN\" --for 30s
  retold lease release \"$TOKEN\"

An append with a token is refused if somebody else has taken the lease in the meantime. Appends without one are not affected.")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Acquire the lease on a session, and print its token for appends; exit code 3 if somebody else holds it
    Acquire(Acquire),
    /// Extend a lease
    Renew(Renew),
    /// Release a lease before it expires
    Release(Release),
    /// List the leases that are held
    Ls(Ls),
}

#[derive(Debug, clap::Args)]
struct Acquire {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
    /// Who acquires it
    #[arg(long, value_name = "NAME")]
    holder: String,
    /// When it expires unless it is renewed: 90s, 10m
    #[arg(long = "for", value_name = "SPAN", value_parser = seconds, default_value = "30s")]
    time: Duration,
}

#[derive(Debug, clap::Args)]
struct Renew {
    /// The token, from `retold lease acquire`
    #[arg(value_name = "TOKEN")]
    token: FencingToken,
    /// When it expires unless it is renewed again: 90s, 10m
    #[arg(long = "for", value_name = "SPAN", value_parser = seconds, default_value = "30s")]
    time: Duration,
}

#[derive(Debug, clap::Args)]
struct Release {
    /// The token, from `retold lease acquire`
    #[arg(value_name = "TOKEN")]
    token: FencingToken,
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = MAX_LISTING)]
    limit: usize,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    match &args.verb {
        Verb::Acquire(Acquire { session, holder, time }) => {
            let store = app.writing()?;
            let lease = store.leases().acquire(session.as_str(), holder, *time)?;
            store.close()?;
            print(&lease, app)
        }
        Verb::Renew(Renew { token, time }) => {
            let store = app.changing()?;
            let lease = store.leases().renew(token, *time)?;
            store.close()?;
            print(&lease, app)
        }
        Verb::Release(Release { token }) => {
            let store = app.changing()?;
            store.leases().release(token)?;
            store.close()?;
            if !app.out.is_table() {
                return app.out.document(&json!({ "token": token.to_string(), "done": "released" }));
            }
            app.out.line(format!("{}: released", paint(NAME, clean(&token.to_string()))))
        }
        Verb::Ls(args) => ls(args, app),
    }
}

fn print(lease: &Lease, app: &mut App) -> Outcome {
    if !app.out.is_table() {
        return app.out.document(&wire::LeaseView::from(lease));
    }
    let until = paint(DIM, format!("until {}", short(lease.until)));
    app.out.line(format!("{}  {until}", paint(NAME, clean(&lease.token.to_string()))))
}

fn ls(args: &Ls, app: &mut App) -> Outcome {
    let leases = app.reading()?.leases().list(None, args.limit)?;
    let out = &mut app.out;
    let names = ["SESSION", "HOLDER", "FENCE", "ENDS IN", "TOKEN"];
    let mut table = out.is_table().then(|| Table::new(&names, out.width()).spare(&["TOKEN", "HOLDER"]));
    out.begin_list()?;
    let now = Timestamp::now();
    for lease in &leases {
        match &mut table {
            None => out.item(&wire::LeaseView::from(lease))?,
            Some(table) => {
                let left = lease.until.micros().saturating_sub(now.micros());
                let lines = table.row(vec![
                    cell(&lease.session).style(NAME),
                    cell(&lease.holder),
                    cell(lease.fence),
                    cell(span(u64::try_from(left).unwrap_or_default())),
                    cell(&lease.token).style(DIM),
                ]);
                out.lines(lines)?;
            }
        }
    }
    if let Some(mut table) = table {
        if leases.is_empty() {
            out.note("nobody holds a lease");
        }
        out.lines(table.lines())?;
    }
    Ok(())
}
