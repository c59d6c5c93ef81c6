//! `retold dead-letters`

use serde_json::json;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::get;
use super::style::{BAD, DIM, NAME, NOTICE, paint};
use super::table::{Table, cell, clean};
use super::view::{count, short};
use retold::delivery::{DeadLetter, DeadLetters, Owner};
use retold::error::Error;
use retold::limits::DEFAULT_PAGE;
use retold::wire::DeadLetterView;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold dead-letters ls mailer
  retold dead-letters show mailer 4711
  retold dead-letters replay mailer --all
  retold dead-letters drop handler:log 4711

A dead letter is named by its owner and the position of its event. An owner is a consumer, or a handler as \
`handler:NAME`.")]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the dead letters of one owner or of all
    Ls(Ls),
    /// Show a dead letter and its event
    Show(One),
    /// Replay one or all: their owner gets them again
    #[command(override_usage = "retold dead-letters replay [OPTIONS] <OWNER> <POSITION|--all>")]
    Replay(Which),
    /// Drop one or all; the events stay
    #[command(override_usage = "retold dead-letters drop [OPTIONS] <OWNER> <POSITION|--all>")]
    Drop(Which),
}

#[derive(Debug, clap::Args)]
struct Ls {
    /// The owner
    #[arg(value_name = "OWNER")]
    owner: Option<String>,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The owner
    #[arg(value_name = "OWNER")]
    owner: String,
    /// The event's position
    #[arg(value_name = "POSITION")]
    position: u64,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["position", "all"]))]
struct Which {
    /// The owner
    #[arg(value_name = "OWNER")]
    owner: String,
    /// The event's position
    #[arg(value_name = "POSITION")]
    position: Option<u64>,
    /// All dead letters of the owner
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    match &args.verb {
        Verb::Ls(args) => ls(args, app),
        Verb::Show(args) => show(args, app),
        Verb::Replay(args) => change(args, app, "sent back", DeadLetters::replay, DeadLetters::replay_all),
        Verb::Drop(args) => change(args, app, "thrown away", DeadLetters::discard, DeadLetters::discard_all),
    }
}

fn ls(args: &Ls, app: &mut App) -> Outcome {
    let owner = args.owner.as_deref().map(str::parse::<Owner>).transpose()?;
    let store = app.reading()?;
    let out = &mut app.out;
    out.begin_list()?;
    let names = ["OWNER", "#POSITION", "EVENT", "TYPE", "#DELIVERIES", "SINCE", "ERROR"];
    let mut table =
        out.is_table().then(|| Table::new(&names, out.width()).spare(&["SINCE", "DELIVERIES", "TYPE"]));
    let (mut last, mut none): (Option<DeadLetter>, bool) = (None, true);
    loop {
        let page = store.dead_letters().list(owner.as_ref(), last.as_ref(), DEFAULT_PAGE)?;
        none &= page.is_empty();
        for dead_letter in &page {
            let Some(table) = &mut table else {
                out.item(&DeadLetterView::from(dead_letter))?;
                continue;
            };
            let error = match dead_letter.again {
                true => cell("replayed, not handled yet").style(NOTICE),
                false => cell(&dead_letter.error).style(BAD),
            };
            let lines = table.row(vec![
                cell(&dead_letter.owner).style(NAME),
                cell(dead_letter.position),
                cell(&dead_letter.at),
                cell(&dead_letter.kind),
                cell(dead_letter.deliveries),
                cell(short(dead_letter.last)).style(DIM),
                error,
            ]);
            out.lines(lines)?;
        }
        last = page.into_iter().last();
        if last.is_none() {
            break;
        }
    }
    let Some(mut table) = table else { return Ok(()) };
    if none {
        out.note("there are no dead letters");
    }
    out.lines(table.lines())
}

fn show(args: &One, app: &mut App) -> Outcome {
    let owner: Owner = args.owner.parse()?;
    let store = app.reading()?;
    let dead_letter = store.dead_letters().get(&owner, args.position)?;
    let event = store.get_raw(dead_letter.id)?;
    let out = &mut app.out;
    if !out.is_table() {
        return out.document(&DeadLetterView::with(&dead_letter, &event));
    }
    let lines = [
        ("owner", paint(NAME, &dead_letter.owner)),
        ("error", paint(BAD, clean(&dead_letter.error))),
        ("deliveries", dead_letter.deliveries.to_string()),
        ("first", dead_letter.first.to_string()),
        ("last", dead_letter.last.to_string()),
        ("replayed", if dead_letter.again { "yes, not handled yet" } else { "no" }.to_owned()),
    ];
    for (name, value) in lines {
        out.line(format!("{}  {value}", paint(DIM, format!("{name:>11}"))))?;
    }
    get::show(&event, out)
}

fn change(
    args: &Which,
    app: &mut App,
    done: &str,
    one: fn(&DeadLetters, &Owner, u64) -> Result<(), Error>,
    all: fn(&DeadLetters, &Owner) -> Result<usize, Error>,
) -> Result<(), Failure> {
    let owner: Owner = args.owner.parse()?;
    let store = app.changing()?;
    let dead_letters = match args.position {
        Some(position) => one(&store.dead_letters(), &owner, position).map(|()| 1)?,
        None => all(&store.dead_letters(), &owner)?,
    };
    store.close()?;
    if !app.out.is_table() {
        return app
            .out
            .document(&json!({ "owner": owner.to_string(), "dead_letters": dead_letters, "done": done }));
    }
    let dead_letters = count(dead_letters as u64, "dead letter");
    app.out.line(format!("{dead_letters} of {}: {done}", paint(NAME, &owner)))
}
