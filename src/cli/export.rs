//! `retold export`

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::view::count;
use crate::error::{Error, Result};
use crate::event::{Address, Event, Place, SessionId};
use crate::interop::{Files, Forked, Format, SourceFile, print, print_fork};
use crate::store::{BranchInfo, Events, Query, Store};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold export run-7 --to retold > run-7.jsonl
  retold export run-7/retry --to cloudevents --out retry.ndjson
  retold export --to source --out restored/

`source` gives back the files that were imported, byte for byte; several go to a folder. The other formats write one \
event a line, and a line where a branch begins, so that `retold import` makes the same sessions of them.")]
pub(super) struct Args {
    /// A session with all its branches, or one branch; without it, everything
    #[arg(value_name = "SESSION[/BRANCH]")]
    place: Option<String>,
    /// retold, cloudevents, aios or source
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// A file, or a folder for several [default: standard output]
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let format = if args.to == "source" { None } else { Some(printable(&args.to)?) };
    if let Some(out) = &args.out
        && is_same(out, &app.store)
    {
        return Err(Failure::Usage(format!("{} is the store itself", out.display())));
    }
    let scope = match args.place.as_deref() {
        None => Scope::All,
        Some(text) if text.contains(['/', '@']) => Scope::Branch(text.parse()?),
        Some(text) => Scope::Session(SessionId::new(text)?),
    };
    let store = app.reading()?;
    match format {
        None => sources(args, &scope, &store, app),
        Some(format) => lines(format, args.out.as_deref(), &scope, &store, app),
    }
}

fn printable(name: &str) -> Result<Format, Failure> {
    match name.parse::<Format>() {
        Ok(format) if format.is_printable() => Ok(format),
        Ok(format) => Err(Failure::Usage(format!(
            "{format} can be imported but not written; --to source gives the imported files back"
        ))),
        Err(_) => Err(Failure::Usage(format!("--to {name} is none of retold, cloudevents, aios and source"))),
    }
}

enum Scope {
    All,
    Session(SessionId),
    Branch(Address),
}

impl Scope {
    fn branches(&self, store: &Store) -> Result<Vec<BranchInfo>> {
        match self {
            Self::Session(session) => store.branches(session),
            Self::Branch(address) => {
                let session = address.session();
                let lines = store.ancestry(Address::from(address.place().clone()))?;
                let place = |name| Address::new(session.clone(), name);
                lines.into_iter().map(|(name, _)| store.branch(place(name))).collect()
            }
            Self::All => {
                let (mut branches, mut last) = (Vec::new(), None);
                loop {
                    let page = store.sessions(last.as_ref(), 1_000)?;
                    for session in &page {
                        branches.extend(store.branches(&session.session)?);
                    }
                    match page.into_iter().next_back() {
                        Some(session) => last = Some(session.session),
                        None => return Ok(branches),
                    }
                }
            }
        }
    }

    /// The events, those of several branches in the order of recording.
    fn events(
        &self,
        store: &Store,
        branches: &[BranchInfo],
    ) -> Result<Box<dyn Iterator<Item = Result<Event>>>> {
        Ok(match self {
            Self::All => Box::new(store.events(Query::all())?),
            Self::Branch(address) => Box::new(store.events(Query::branch(address)?)?),
            Self::Session(_) => Box::new(Merged::new(store, branches)?),
        })
    }

    fn total(&self, branches: &[BranchInfo]) -> u64 {
        match self {
            Self::Branch(_) => branches.last().map_or(0, |b| b.head.get()),
            _ => branches.iter().map(|b| b.events).sum(),
        }
    }
}

/// The own events of several branches, by position.
struct Merged {
    rest: Vec<Events>,
    next: BTreeMap<u64, (usize, Event)>,
    failed: Option<Error>,
}

impl Merged {
    fn new(store: &Store, branches: &[BranchInfo]) -> Result<Self> {
        let own = |b: &BranchInfo| {
            let first = b.parent.as_ref().map_or(1, |(_, at)| at.get() + 1);
            store.events(Query::branch(Address::from(b.place.clone()))?.from(first))
        };
        let rest: Vec<Events> = branches.iter().map(own).collect::<Result<_>>()?;
        let mut merged = Self { rest, next: BTreeMap::new(), failed: None };
        (0..merged.rest.len()).for_each(|i| merged.advance(i));
        Ok(merged)
    }

    fn advance(&mut self, i: usize) {
        match self.rest.get_mut(i).and_then(Iterator::next) {
            Some(Ok(event)) => drop(self.next.insert(event.position().get(), (i, event))),
            Some(Err(e)) => self.failed = Some(e),
            None => {}
        }
    }
}

impl Iterator for Merged {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(e) = self.failed.take() {
            self.next.clear();
            return Some(Err(e));
        }
        let (_, (i, event)) = self.next.pop_first()?;
        self.advance(i);
        Some(Ok(event))
    }
}

/// Branches whose beginning was not written yet.
struct Forks {
    waiting: BTreeMap<Place, Forked>,
    format: Format,
}

impl Forks {
    fn new(store: &Store, branches: &[BranchInfo], format: Format) -> Result<Self> {
        let mut waiting = BTreeMap::new();
        for branch in branches {
            let Some((parent, at)) = &branch.parent else { continue };
            let query = Query::branch(Address::new(branch.place.session.clone(), parent.clone()))?;
            let event = match at.get() {
                0 => None,
                n => store.read(&query.from(n).to(n))?.events.first().map(|e| e.id()),
            };
            let fork = Forked { place: branch.place.clone(), parent: parent.clone(), at: *at, event };
            waiting.insert(branch.place.clone(), fork);
        }
        Ok(Self { waiting, format })
    }

    /// Writes where a branch begins, its ancestors first.
    fn begin(&mut self, place: &Place, out: &mut Vec<u8>) -> Result<()> {
        let mut line = Vec::new();
        let mut next = self.waiting.remove(place);
        while let Some(fork) = next {
            next = self.waiting.remove(&Place::new(fork.place.session.clone(), fork.parent.clone()));
            line.push(fork);
        }
        for fork in line.into_iter().rev() {
            print_fork(self.format, &fork, out)?;
        }
        Ok(())
    }

    fn rest(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while let Some(place) = self.waiting.keys().next().cloned() {
            self.begin(&place, out)?;
        }
        Ok(())
    }
}

fn lines(format: Format, to: Option<&Path>, scope: &Scope, store: &Store, app: &mut App) -> Outcome {
    let branches = scope.branches(store)?;
    let mut forks = Forks::new(store, &branches, format)?;
    let mut draft = to.map(Draft::new).transpose()?;
    let mut progress = Progress::new(&app.out, "events", Some(scope.total(&branches)));
    let (mut buffer, mut written) = (Vec::new(), 0);
    let mut write = |buffer: &mut Vec<u8>, app: &mut App| -> Outcome {
        match &mut draft {
            Some(draft) => draft.write(buffer)?,
            None => app.out.bytes(buffer)?,
        }
        buffer.clear();
        Ok(())
    };
    for event in scope.events(store, &branches)? {
        let event = event?;
        forks.begin(event.place(), &mut buffer)?;
        print(format, &event, &mut buffer)?;
        write(&mut buffer, app)?;
        written += 1;
        progress.add(1);
    }
    forks.rest(&mut buffer)?;
    write(&mut buffer, app)?;
    drop(progress);
    if let Some(draft) = draft {
        let path = draft.finish()?;
        app.out.note(format!("{} written to {}", count(written, "event"), path.display()));
    }
    Ok(())
}

fn sources(args: &Args, scope: &Scope, store: &Store, app: &mut App) -> Outcome {
    let branches = scope.branches(store)?;
    let mut progress = Progress::new(&app.out, "events", Some(scope.total(&branches)));
    let mut files = Files::default();
    for event in scope.events(store, &branches)? {
        files.add(&event?);
        progress.add(1);
    }
    drop(progress);
    let left = files.unsourced();
    let files = files.finish();
    if left > 0 {
        app.out.note(format!("{} left out: not imported from a file", count(left as u64, "event")));
    }
    let folder = args.out.as_deref().filter(|p| p.is_dir() || p.as_os_str().to_string_lossy().ends_with('/'));
    match (files.as_slice(), args.out.as_deref(), folder) {
        ([], _, _) => Err(Error::NotFound { what: "imported event in", name: named(args, app) }.into()),
        ([file], None, _) => app.out.bytes(&file.bytes),
        ([file], Some(path), None) => put(path, file, app),
        (many, None, _) => {
            let text =
                format!("these events came from {}; --out DIR takes them", count(many.len() as u64, "file"));
            Err(Failure::Usage(text))
        }
        (many, Some(folder), _) => many.iter().try_for_each(|file| put(&folder.join(&file.name), file, app)),
    }
}

fn named(args: &Args, app: &App) -> String {
    args.place.clone().unwrap_or_else(|| app.store.display().to_string())
}

fn put(path: &Path, file: &SourceFile, app: &mut App) -> Outcome {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::file(folder.display(), e))?;
    }
    let mut draft = Draft::new(path)?;
    draft.write(&file.bytes)?;
    let path = draft.finish()?;
    app.out.note(format!("{}: {}", path.display(), count(file.records as u64, "record")));
    Ok(())
}

/// A file that appears under its name when it is complete. What is no plain file, a pipe or a device, is written to
/// as it is.
struct Draft {
    path: PathBuf,
    draft: Option<PathBuf>,
    file: BufWriter<File>,
}

impl Draft {
    fn new(path: &Path) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| match (e.kind(), path.parent()) {
            (std::io::ErrorKind::NotFound, Some(folder)) => {
                Error::NotFound { what: "folder", name: folder.display().to_string() }.into()
            }
            _ => Failure::file(path.display(), e),
        };
        let name =
            path.file_name().ok_or_else(|| Failure::Usage(format!("{} is no file", path.display())))?;
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self { path: path.to_owned(), draft: None, file: BufWriter::new(file) });
        }
        // A link stays a link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let draft = path.with_file_name(format!(".{}.{}.new", name.display(), std::process::id()));
        let file = File::create(&draft).map_err(failed)?;
        Ok(Self { path, draft: Some(draft), file: BufWriter::new(file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        self.file.write_all(bytes).map_err(|e| Failure::file(self.path.display(), e))
    }

    fn finish(mut self) -> Result<PathBuf, Failure> {
        let failed = |e| Failure::file(self.path.display(), e);
        self.file.flush().map_err(failed)?;
        if let Some(draft) = self.draft.take() {
            fs::rename(&draft, &self.path).map_err(failed)?;
        }
        Ok(self.path.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // It was not finished.
            let _ = fs::remove_file(draft);
        }
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
