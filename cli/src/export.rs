//! `retold export`

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::app::App;
use super::draft::{Draft, is_same};
use super::export_files;
use super::failure::{Failure, Outcome};
use super::named;
use super::progress::Progress;
use super::select::Select;
use super::telemetry;
use super::view::count;
use retold::agents::interop::{
    ExportError, ExportScope, Format, export, export_ag_ui, export_filtered, export_import, export_otlp,
    export_raw, export_sources,
};
use retold::error::Error;
use retold::event::{Address, SessionId};
use retold::store::Store;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold export run-7 --to retold > run-7.jsonl
  retold export run-7/retry --to cloudevents --out retry.ndjson
  retold export --to source --out restored/
  retold export --to source --import 3 > as-it-was.jsonl
  retold export run-7 --to otlp-json --content > trace.jsonl

`source` returns imported files, byte for byte as last imported. Several files go to a folder, where existing files \
are not overwritten unless --force is given. With a session, `source` returns the files that have events of it; \
`retold imports` lists earlier versions for --import. The other formats write one event per \
line, and a line where a branch starts, so that `retold import` recreates the same sessions. Filters select what goes to \
other programs: with --to cloudevents, --to aios and --to ag-ui.

`ag-ui` writes one branch (`main` unless one is named) as an event stream of that protocol, `otlp-json` as OpenTelemetry \
spans of agents, chats and tools.")]
pub(super) struct Args {
    /// A session with all its branches, or one branch; without it, everything
    #[arg(value_name = "SESSION[/BRANCH]")]
    place: Option<String>,
    /// retold, cloudevents, aios, ag-ui, otlp-json or source
    #[arg(long, value_name = "FORMAT", required_unless_present = "otlp")]
    to: Option<String>,
    /// With --to otlp-json, which it implies: send the spans to the OpenTelemetry collector at this URL; needs a program built
    /// with the feature otel
    #[arg(long, value_name = "URL", conflicts_with = "out")]
    otlp: Option<String>,
    /// A file, or a folder for several files [default: standard output]
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// With --to source: the file as of this import
    #[arg(long, value_name = "N")]
    import: Option<u64>,
    /// Without upcasting, for a copy of the store
    #[arg(long)]
    raw: bool,
    /// With --to source: overwrite files that exist in the folder
    #[arg(long)]
    force: bool,
    /// With --to otlp-json: also what was said, and what tools were given and returned
    #[arg(long)]
    content: bool,
    #[command(flatten)]
    select: Select,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Lines(Format),
    Sources,
    AgUi,
    Spans,
}

impl To {
    fn parse(name: &str) -> Result<Self, Failure> {
        match (name, name.parse::<Format>()) {
            ("source", _) => Ok(Self::Sources),
            ("ag-ui", _) => Ok(Self::AgUi),
            ("otlp-json", _) => Ok(Self::Spans),
            (_, Ok(format)) if format.is_printable() => Ok(Self::Lines(format)),
            (_, Ok(format)) => Err(Failure::Usage(format!(
                "{format} can be imported but not written; --to source returns the imported files"
            ))),
            (_, Err(_)) => {
                let known = "retold, cloudevents, aios, ag-ui, otlp-json or source";
                Err(Failure::Usage(format!("--to takes {known}, not {name}")))
            }
        }
    }

    fn takes_filters(self) -> bool {
        matches!(self, Self::Lines(Format::CloudEvents | Format::Aios) | Self::AgUi)
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let name = args.to.as_deref().unwrap_or("otlp-json");
    let to = To::parse(name)?;
    if args.otlp.is_some() && to != To::Spans {
        return Err(Failure::Usage(format!("--otlp sends spans: leave --to {name} out")));
    }
    if let Some(out) = &args.out
        && is_same(out, &app.store)
    {
        return Err(Failure::Usage(format!("{} is the store itself", out.display())));
    }
    if args.import.is_some() && (to != To::Sources || args.place.is_some()) {
        return Err(Failure::Usage("--import needs --to source, and takes no session".into()));
    }
    if args.content && to != To::Spans {
        return Err(Failure::Usage("--content needs --to otlp-json: other formats have it anyway".into()));
    }
    if args.raw && matches!(to, To::AgUi | To::Spans) {
        return Err(Failure::Usage(format!("--raw is for copies of a store, not for --to {name}")));
    }
    let filter = args.select.filter(app)?;
    if !filter.is_empty() && (args.raw || !to.takes_filters()) {
        let text = "filters go with --to cloudevents, --to aios and --to ag-ui, without --raw: \
                    what other formats write is a copy, and complete";
        return Err(Failure::Usage(text.into()));
    }
    // What is written is a file for others: the name is taken as it is.
    let scope = match (args.place.as_deref(), to) {
        (None, _) => ExportScope::All,
        (Some(text), To::AgUi | To::Spans) => ExportScope::Branch(text.parse()?),
        (Some(text), _) if text.contains(['/', '@']) => ExportScope::Branch(text.parse()?),
        (Some(text), _) => ExportScope::Session(SessionId::new(text)?),
    };
    let store = app.reading()?;
    match &scope {
        ExportScope::Branch(address) => store.head(Address::from(address.place().clone())).map(drop),
        ExportScope::Session(session) => store.branches(session).map(drop),
        ExportScope::All => Ok(()),
    }
    .map_err(|e| named::advised(&store, e))?;
    let raw = args.raw;
    let total = if filter.is_empty() { total(&scope, &store)? } else { None };
    match (to, &scope) {
        (To::Sources, _) => sources(args, &scope, &store, app),
        (To::AgUi, ExportScope::Branch(of)) => {
            written(args.out.as_deref(), total, app, |out, done| export_ag_ui(&store, of, &filter, out, done))
        }
        (To::Spans, ExportScope::Branch(of)) => {
            let write = |out: &mut dyn Write, done: &mut dyn FnMut(u64)| {
                export_otlp(&store, of, args.content, out, done)
            };
            match &args.otlp {
                Some(url) => sent(url, total, app, write),
                None => written(args.out.as_deref(), total, app, write),
            }
        }
        (To::Lines(format), scope) => {
            written(args.out.as_deref(), total, app, |out, done| match (filter.is_empty(), raw) {
                (false, _) => export_filtered(&store, scope, format, &filter, out, done),
                (true, true) => export_raw(&store, scope, format, out, done),
                (true, false) => export(&store, scope, format, out, done),
            })
        }
        (To::AgUi | To::Spans, _) => {
            let text = format!("--to {name} writes one branch: name its session, or SESSION/BRANCH");
            Err(Failure::Usage(text))
        }
    }
}

/// Writes what `write` writes to a file or to standard output, and says how many events that were.
fn written(
    to: Option<&Path>,
    total: Option<u64>,
    app: &mut App,
    write: impl FnOnce(&mut dyn Write, &mut dyn FnMut(u64)) -> Result<u64, ExportError>,
) -> Outcome {
    let begin = if to.is_none() { Progress::beside } else { Progress::new };
    let mut progress = begin(&app.out, "events", total);
    let mut draft = to.map(Draft::new).transpose()?;
    let mut stdout;
    let (out, name): (&mut dyn Write, _) = match &mut draft {
        Some(draft) => {
            let name = draft.path().display().to_string();
            (&mut draft.file, name)
        }
        None => {
            stdout = app.out.writer();
            (&mut stdout, "stdout".to_owned())
        }
    };
    let written = write(out, &mut |done| progress.set(done));
    drop(progress);
    let written = written.map_err(|e| unwritten(e, name))?;
    if let Some(draft) = draft {
        let path = draft.finish()?;
        app.out.note(format!("{} written to {}", count(written, "event"), path.display()));
    }
    Ok(())
}

/// Sends what `write` writes to a collector, line by line.
fn sent(
    url: &str,
    total: Option<u64>,
    app: &mut App,
    write: impl FnOnce(&mut dyn Write, &mut dyn FnMut(u64)) -> Result<u64, ExportError>,
) -> Outcome {
    let mut to = telemetry::collector(url)?;
    let mut progress = Progress::new(&app.out, "events", total);
    let written = write(&mut to, &mut |done| progress.set(done));
    drop(progress);
    let written = written.map_err(|e| unwritten(e, "the collector".to_owned()))?;
    app.out.note(format!("the spans of {} sent to {url}", count(written, "event")));
    Ok(())
}

fn unwritten(error: ExportError, what: String) -> Failure {
    match error {
        ExportError::Store(e) => Failure::from(e),
        ExportError::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        ExportError::Output(e) => Failure::Io { what, source: e },
        other => Failure::Io { what, source: io::Error::other(other) },
    }
}

fn sources(args: &Args, scope: &ExportScope, store: &Store, app: &mut App) -> Outcome {
    let mut progress = Progress::new(&app.out, "events", total(scope, store)?);
    let (files, left) = match args.import {
        Some(number) => (vec![export_import(store, number)?], 0),
        None => export_sources(store, scope, &mut |done| progress.set(done))?,
    };
    drop(progress);
    if left > 0 {
        app.out.note(format!("{} left out: not imported from a file", count(left as u64, "event")));
    }
    let folder = args.out.as_deref().filter(|p| p.is_dir() || p.as_os_str().to_string_lossy().ends_with('/'));
    match (files.as_slice(), args.out.as_deref(), folder) {
        ([], _, _) => Err(Error::NotFound { what: "imported event in", name: named(args, app) }.into()),
        ([file], None, _) => app.out.file(&file.bytes),
        ([file], Some(path), None) => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|e| Failure::file(folder.display(), e))?;
            }
            let mut draft = Draft::new(path)?;
            draft.write(&file.bytes)?;
            let path = draft.finish()?;
            app.out.note(format!("{}: {}", path.display(), count(file.records as u64, "record")));
            Ok(())
        }
        (many, None, _) => {
            let files = count(many.len() as u64, "file");
            Err(Failure::Usage(format!(
                "these events come from {files}; write them to a folder with --out DIR"
            )))
        }
        (many, Some(folder), _) => export_files::write(folder, many, args.force, app),
    }
}

/// How many events there are to read, if that is known quickly.
fn total(scope: &ExportScope, store: &Store) -> retold::error::Result<Option<u64>> {
    Ok(match scope {
        ExportScope::All => Some(store.committed().get()),
        ExportScope::Session(session) => Some(store.branches(session)?.iter().map(|b| b.events).sum()),
        ExportScope::Branch(address) => Some(store.head(address)?.get()),
    })
}

fn named(args: &Args, app: &App) -> String {
    args.place.clone().unwrap_or_else(|| app.store.display().to_string())
}
