//! `retold show`

use super::app::App;
use super::current::Shown;
use super::failure::Outcome;
use super::transcript::{Detail, Transcript};
use super::who::Who;
use retold::agents::readable::{Part, Readable, ToldOnce};
use retold::event::{Address, Catalogue, Event};
use retold::store::Query;
use retold::wire::TranscriptEntry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold show run-7                     what was said, each call of a tool on one line
  retold show run-7/retry@20 --full     with arguments, results and thoughts in full, up to event 20
  retold show run-7 --speaker user --speaker assistant
  retold show run-7 -o jsonl            one object per event, with its text, tool and tokens; what several records of a message repeat counts once

On a terminal it goes through the pager: RETOLD_PAGER, PAGER or less.")]
pub(super) struct Args {
    /// SESSION[/BRANCH][@SEQ]; without a branch, the current one
    #[arg(value_name = "SESSION[/BRANCH][@SEQ]")]
    address: Shown,
    /// Arguments and results of tools, and thoughts, in full
    #[arg(long)]
    full: bool,
    /// All other events too, a line each
    #[arg(long)]
    events: bool,
    /// Only what these say: user, assistant, thinking, tool or system; repeat to add more
    #[arg(long, value_name = "WHO")]
    speaker: Vec<Who>,
    /// The first sequence to show
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Print directly, without a pager
    #[arg(long)]
    no_pager: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let catalogue = app.catalogue()?;
    let store = app.reading()?;
    let address = args.address.resolve(&store, &mut app.out)?;
    let head = store.head(Address::from(address.place().clone()))?;
    let query = Query::branch(&address)?.from(args.from.unwrap_or(1));
    let mut events = store.events(query)?;
    if !app.out.is_table() {
        app.out.begin_list()?;
        let mut told = ToldOnce::default();
        for event in events {
            let event = event?;
            let mut readable = of(&event, &catalogue, &args.speaker);
            if args.events || !readable.parts.is_empty() {
                told.leave_new(&event, &catalogue, &mut readable.usage);
                app.out.item(&TranscriptEntry::new(&event, &readable))?;
            }
        }
        return Ok(());
    }
    if !args.no_pager {
        app.out.page()?;
    }
    let detail = Detail { full: args.full, events: args.events, everybody: args.speaker.is_empty() };
    let mut transcript = Transcript::new(&mut app.out, detail);
    let mut count = 0_u64;
    let shown = events.try_for_each(|event| {
        let event = event?;
        count += 1;
        transcript.event(&event, of(&event, &catalogue, &args.speaker), catalogue.role(event.kind()))
    });
    let has_said = transcript.finish()?;
    shown?;
    // A pager has the screen until it ends.
    app.out.finish()?;
    if !has_said && !args.events {
        let why = match (count, args.speaker.is_empty()) {
            (0, _) => format!("has no events there; its last event is {head}"),
            (_, false) => "has nothing that these say".to_owned(),
            (n, true) => {
                format!("has no messages in {}; --events shows the others", super::view::count(n, "event"))
            }
        };
        app.out.note(format!("{address} {why}"));
    }
    Ok(())
}

/// What these say of it.
fn of(event: &Event, catalogue: &Catalogue, wanted: &[Who]) -> Readable {
    let mut readable = Readable::of(event, catalogue);
    if !wanted.is_empty() {
        readable.parts.retain(|part: &Part| wanted.iter().any(|who| who.is(part.speaker)));
    }
    readable
}
