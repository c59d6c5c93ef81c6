//! `retold import`

use std::collections::BTreeSet;
use std::io::{self, Read};

use bytes::Bytes;

use super::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::style::{GOOD, NAME, NOTICE};
use super::table::{Table, cell};
use super::view::grouped;
use crate::event::SessionId;
use crate::interop::{Format, Loaded, Options, Plan, load, parse};
use crate::store::Store;
use crate::wire::{Exit, Imported};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold import ~/.claude/projects/my-project/*.jsonl
  retold import --from temporal history.json
  retold import --session run-7 events.jsonl

Every record is kept byte for byte; `retold export --to source` gives the files back. Importing a file again, or a \
file that has grown, adds only what is new. A broken record is named and left out, and the exit code is 7.")]
pub(super) struct Args {
    /// The files; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// What wrote them: auto, retold, cloudevents, aios, claude-code, openhands or temporal
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    from: String,
    /// The session that the events go to [default: as the file says]
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Stop at a broken record, with nothing of its file written
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let format = if args.from == "auto" { None } else { Some(args.from.parse::<Format>()?) };
    let session = args.session.as_deref().map(SessionId::new).transpose()?;
    let options = Options::default().format(format).session(session);
    let mut store = None;
    let mut files = Files::default();
    let mut worst = None;
    for file in &args.files {
        match one(file, &options, args.strict, &mut store, &mut files, app) {
            Ok(()) => {}
            Err(e @ (Failure::ClosedPipe | Failure::Usage(_))) => return Err(e),
            Err(e) => {
                if !e.is_told() {
                    app.out.failure(&e);
                }
                worst = worst.or(Some(e.exit()));
                if args.strict {
                    break;
                }
            }
        }
    }
    if let Some(store) = store {
        store.close()?;
    }
    files.finish(app)?;
    worst.map_or(Ok(()), |exit| Err(Failure::Told(exit)))
}

fn one(
    file: &str,
    options: &Options,
    strict: bool,
    store: &mut Option<Store>,
    files: &mut Files,
    app: &mut App,
) -> Outcome {
    let name = if file == "-" { "standard input" } else { file };
    let bytes = read(file).map_err(|e| Failure::file(name, e))?;
    let plan = parse(name, &bytes, options)?;
    for skipped in &plan.skipped {
        app.out.say(format!("{name}:{}: {}", skipped.line, skipped.reason));
    }
    if strict && !plan.skipped.is_empty() {
        app.out.say(format!("nothing of {name} was written"));
        return Err(Failure::Told(Exit::Invalid));
    }
    // Only now, so that a file that is none does not make a store.
    let store = match store {
        Some(store) => store,
        None => store.insert(app.writing()?),
    };
    let (format, sessions) = (plan.format, sessions(&plan));
    let mut progress = Progress::new(&app.out, "events", Some(plan.events() as u64));
    let loaded = load(store, plan, &mut |done| progress.set(done as u64))?;
    drop(progress);
    report(app, files, name, Some(format), sessions, &loaded)?;
    if loaded.skipped.is_empty() { Ok(()) } else { Err(Failure::Told(Exit::Invalid)) }
}

fn read(file: &str) -> io::Result<Bytes> {
    if file == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes.into());
    }
    std::fs::read(file).map(Bytes::from)
}

fn sessions(plan: &Plan) -> Vec<String> {
    let names: BTreeSet<&SessionId> = plan.places().into_iter().map(|p| &p.session).collect();
    names.into_iter().map(ToString::to_string).collect()
}

/// The files of one run, one row or document each.
#[derive(Default)]
pub(super) struct Files {
    table: Option<Table>,
    begun: bool,
}

impl Files {
    pub(super) fn finish(mut self, app: &mut App) -> Outcome {
        if !self.begun && !app.out.is_table() {
            app.out.begin_list()?;
        }
        self.table.as_mut().map_or(Ok(()), |table| app.out.lines(table.lines()))
    }
}

/// Tells what became of a file.
pub(super) fn report(
    app: &mut App,
    files: &mut Files,
    name: &str,
    format: Option<Format>,
    sessions: Vec<String>,
    loaded: &Loaded,
) -> Outcome {
    for note in &loaded.notes {
        app.out.note(format!("{name}: {note}"));
    }
    let out = &mut app.out;
    if !out.is_table() {
        if !std::mem::replace(&mut files.begun, true) {
            out.begin_list()?;
        }
        return out.item(&Imported::new(name, format, sessions, loaded));
    }
    match loaded.timeless {
        0 => {}
        1 => out.note(format!("{name}: 1 event has no time of its own; it has that of this import")),
        n => out.note(format!("{name}: {n} events have no time of their own; they have that of this import")),
    }
    let table = files.table.get_or_insert_with(|| {
        let names = ["FILE", "FORMAT", "#EVENTS", "#NEW", "#DUPLICATES", "#BRANCHES", "#SKIPPED", "SESSION"];
        Table::new(&names, out.width())
    });
    let number = |n: usize| cell(grouped(n as u64));
    let session = match sessions.as_slice() {
        [one] => one.clone(),
        many => format!("{} sessions", many.len()),
    };
    let skipped = number(loaded.skipped.len());
    let lines = table.row(vec![
        cell(name),
        cell(format.map_or("lines", Format::name)),
        number(loaded.new + loaded.duplicates),
        if loaded.new > 0 { number(loaded.new).style(GOOD) } else { number(0) },
        number(loaded.duplicates),
        number(loaded.branches),
        if loaded.skipped.is_empty() { skipped } else { skipped.style(NOTICE) },
        cell(session).style(NAME),
    ]);
    out.lines(lines)
}
