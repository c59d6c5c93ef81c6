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
use super::view::count;
use retold::agents::interop::{
    ExportError, ExportScope, Format, export, export_filtered, export_import, export_raw, export_sources,
};
use retold::error::{Error, Result};
use retold::event::{Address, Filter, SessionId};
use retold::store::Store;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold export run-7 --to retold > run-7.jsonl
  retold export run-7/retry --to cloudevents --out retry.ndjson
  retold export --to source --out restored/
  retold export --to source --import 3 > as-it-was.jsonl

`source` returns imported files, byte for byte as last imported. Several files go to a folder, where existing files \
are not overwritten unless --force is given. With a session, `source` returns the files that have events of it; \
`retold imports` lists earlier versions for --import. The other formats write one event per \
line, and a line where a branch starts, so that `retold import` recreates the same sessions. Filters select what goes to \
other programs: with --to cloudevents and --to aios.")]
pub(super) struct Args {
    /// A session with all its branches, or one branch; without it, everything
    #[arg(value_name = "SESSION[/BRANCH]")]
    place: Option<String>,
    /// retold, cloudevents, aios or source
    #[arg(long, value_name = "FORMAT")]
    to: String,
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
    #[command(flatten)]
    select: Select,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let format = if args.to == "source" { None } else { Some(printable(&args.to)?) };
    if let Some(out) = &args.out
        && is_same(out, &app.store)
    {
        return Err(Failure::Usage(format!("{} is the store itself", out.display())));
    }
    if args.import.is_some() && (format.is_some() || args.place.is_some()) {
        return Err(Failure::Usage("--import needs --to source, and takes no session".into()));
    }
    let filter = args.select.filter(app)?;
    if !filter.is_empty() && (args.raw || !matches!(format, Some(Format::CloudEvents | Format::Aios))) {
        let text = "filters go with --to cloudevents and --to aios, without --raw: \
                    what other formats write is a copy, and complete";
        return Err(Failure::Usage(text.into()));
    }
    // What is written is a file for others: the name is taken as it is.
    let scope = match args.place.as_deref() {
        None => ExportScope::All,
        Some(text) if text.contains(['/', '@']) => ExportScope::Branch(text.parse()?),
        Some(text) => ExportScope::Session(SessionId::new(text)?),
    };
    let store = app.reading()?;
    match &scope {
        ExportScope::Branch(address) => store.head(Address::from(address.place().clone())).map(drop),
        ExportScope::Session(session) => store.branches(session).map(drop),
        ExportScope::All => Ok(()),
    }
    .map_err(|e| named::advised(&store, e))?;
    match format {
        None => sources(args, &scope, &store, app),
        Some(format) => lines((format, args.raw, &filter), args.out.as_deref(), &scope, &store, app),
    }
}

fn printable(name: &str) -> Result<Format, Failure> {
    match name.parse::<Format>() {
        Ok(format) if format.is_printable() => Ok(format),
        Ok(format) => Err(Failure::Usage(format!(
            "{format} can be imported but not written; --to source returns the imported files"
        ))),
        Err(_) => Err(Failure::Usage(format!("--to takes retold, cloudevents, aios or source, not {name}"))),
    }
}

fn lines(
    (format, raw, filter): (Format, bool, &Filter),
    to: Option<&Path>,
    scope: &ExportScope,
    store: &Store,
    app: &mut App,
) -> Outcome {
    let begin = if to.is_none() { Progress::beside } else { Progress::new };
    let total = if filter.is_empty() { total(scope, store)? } else { None };
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
    let mut done = |done| progress.set(done);
    let written = match (filter.is_empty(), raw) {
        (false, _) => export_filtered(store, scope, format, filter, out, &mut done),
        (true, true) => export_raw(store, scope, format, out, &mut done),
        (true, false) => export(store, scope, format, out, &mut done),
    };
    drop(progress);
    let written = written.map_err(|e| match e {
        ExportError::Store(e) => Failure::from(e),
        ExportError::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        ExportError::Output(e) => Failure::Io { what: name, source: e },
        other => Failure::Io { what: name, source: io::Error::other(other) },
    })?;
    if let Some(draft) = draft {
        let path = draft.finish()?;
        app.out.note(format!("{} written to {}", count(written, "event"), path.display()));
    }
    Ok(())
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
fn total(scope: &ExportScope, store: &Store) -> Result<Option<u64>> {
    Ok(match scope {
        ExportScope::All => Some(store.committed().get()),
        ExportScope::Session(session) => Some(store.branches(session)?.iter().map(|b| b.events).sum()),
        ExportScope::Branch(address) => Some(store.head(address)?.get()),
    })
}

fn named(args: &Args, app: &App) -> String {
    args.place.clone().unwrap_or_else(|| app.store.display().to_string())
}
