//! `retold import`

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::import_files::{Given, expand};
use super::import_report::{Files, report};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::unpack::{Unpacking, is_packed, plain_name};
use super::view::grouped;
use retold::agents::interop::{Content, FileImport, Format, ImportError, Mapping, Naming, Options};
use retold::event::{Invalid, SessionId};
use retold::store::Store;
use retold::wire::Exit;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold import ~/.claude/projects/my-project/*.jsonl
  retold import ~/.codex/sessions/
  claude -p 'fix the build' --output-format stream-json --verbose | retold import -
  retold import --from temporal history.json
  retold import --from ndjson --map session=/run/id,type=/event,time=/ts,id=/uid,causation=/parent log.ndjson
  retold import --session run-7 events.jsonl
  retold import trajectories/

Every record is kept byte for byte: `retold export --to source` returns the files as last imported, and `retold \
imports` lists every import. Importing a file again, or after it has changed, adds only what is new: #RECORDS \
counts new, duplicate and skipped records. A broken record is reported and skipped, and the exit code is 7.

If the file names no session, the session gets the file's name, prefixed with its folder if another file has that \
name. Several runs in one file become several sessions; a folder of files that hold one event each becomes one session. \
Files that are compressed with zstd are unpacked.")]
pub(super) struct Args {
    /// Files or folders to import; - for standard input
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<String>,
    /// Their format: auto, retold, cloudevents, aios, claude-code, openhands, temporal, codex, gemini-cli,
    /// claude-stream, pi, copilot-cli, ag-ui or ndjson
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    from: String,
    /// Where the fields of an event are in the records of --from ndjson: session, type, time, id, causation,
    /// correlation, actor, source, each with a JSON Pointer
    #[arg(long, value_name = "FIELD=/POINTER,…")]
    map: Option<String>,
    /// The session to import into [default: from the file]
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Stop at a broken record, and write nothing of its file
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let format = if args.from == "auto" { None } else { Some(args.from.parse::<Format>()?) };
    let session = args.session.as_deref().map(SessionId::new).transpose()?;
    let map = args.map.as_deref().map(str::parse::<Mapping>).transpose()?;
    if map.is_some() && format != Some(Format::Ndjson) {
        return Err(Failure::Usage(
            "--map goes with --from ndjson; other formats have a mapping of their own".into(),
        ));
    }
    let options = Options::default().format(format).session(session).map(map);
    let mut import = Import {
        options,
        strict: args.strict,
        store: None,
        naming: Naming::default(),
        files: Files::default(),
        interrupt: Interrupt::listen(),
    };
    let (given, failures) = expand(&args.files);
    let mut worst = None;
    for e in failures {
        app.out.failure(&e);
        worst = worst.or(Some(e.exit()));
    }
    for file in &given {
        match import.file(file, app) {
            Ok(()) => {}
            Err(e @ (Failure::ClosedPipe | Failure::Usage(_))) => return Err(e),
            Err(e) => {
                if !e.is_told() {
                    app.out.failure(&e);
                }
                if e.exit() == Exit::Interrupted {
                    worst = Some(Exit::Interrupted);
                    break;
                }
                worst = worst.or(Some(e.exit()));
                if args.strict {
                    break;
                }
            }
        }
    }
    if let Some(store) = import.store {
        store.close()?;
    }
    import.files.finish(app)?;
    worst.map_or(Ok(()), |exit| Err(Failure::Reported(exit)))
}

struct Import {
    options: Options,
    strict: bool,
    store: Option<Store>,
    naming: Naming,
    files: Files,
    interrupt: Interrupt,
}

impl Import {
    fn file(&mut self, given: &Given, app: &mut App) -> Outcome {
        let name = if given.name == "-" { "standard input" } else { given.name.as_str() };
        let stopped = || format!("interrupted while reading {name}; nothing of it was written");
        let failed_to_open = |e: io::Error| match e.kind() {
            io::ErrorKind::InvalidData => Invalid::new("file", format!("{name} {e}")).into(),
            _ => Failure::file(name, e),
        };
        let (content, is_packed) =
            self.open(given, app).map_err(|e| self.told(failed_to_open(e), app, &stopped()))?;
        let (mut at, mut plain) = (given.at.clone(), name);
        if is_packed {
            // The same file as the one it was packed from.
            plain = plain_name(name).unwrap_or(name);
            at.path = at.path.map(|path| plain_name(&path).unwrap_or(&path).to_owned());
        }
        // The progress bar ends with the reading, before anything is printed.
        let read = FileImport::read(plain, content, &self.options).map_err(|e| match e {
            ImportError::Store(e) => e.into(),
            ImportError::Input(e) => self.told(Failure::file(name, e), app, &stopped()),
            other => failed(name, other),
        })?;
        for skipped in read.skipped() {
            app.out.say(format!("{name}:{}: byte {}: {}", skipped.line, skipped.byte, skipped.reason));
        }
        if self.strict && !read.skipped().is_empty() {
            app.out.say(format!("nothing of {name} was written"));
            return Err(Failure::Reported(Exit::Invalid));
        }
        let format = read.format();
        // Only now, so that a missing file, or one without records, does not create a store.
        if self.store.is_none() && read.events() == 0 {
            let is_broken = !read.skipped().is_empty();
            if is_broken {
                app.out.say(format!("{name}: no record can be read as {format}; nothing was written"));
            }
            report(app, &mut self.files, name, Some(format), Vec::new(), &read.unwritten())?;
            return if is_broken { Err(Failure::Reported(Exit::Invalid)) } else { Ok(()) };
        }
        if self.store.is_none() {
            let store = app.writing()?;
            self.naming = Naming::of(&store)?;
            self.store = Some(store);
        }
        let Some(store) = &self.store else { return Ok(()) };
        let (named, known_as) = read.named(store, &mut self.naming, &at).map_err(|e| failed(name, e))?;
        if let Some(other) = known_as {
            app.out.note(format!("{name}: has the same records as {other}; added to its session"));
        }
        let (sessions, all) = (named.sessions(), named.events());
        // From the start: each record is looked up in the store before the first is written.
        let mut progress = Progress::at_once(&app.out, "events", Some(all as u64));
        let interrupt = self.interrupt.clone();
        let loaded = named.load(store, &mut |done| {
            progress.set(done as u64);
            if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        drop(progress);
        let loaded = loaded.map_err(|e| failed(name, e))?;
        if let Some(all) = loaded.stopped {
            let done = grouped((loaded.new + loaded.duplicates) as u64);
            app.out.say(format!(
                "interrupted: {done} of the {} events of {name} are in the store; import it again to continue",
                grouped(all as u64)
            ));
            return Err(Failure::Reported(Exit::Interrupted));
        }
        report(app, &mut self.files, name, Some(format), sessions, &loaded)?;
        if loaded.skipped.is_empty() { Ok(()) } else { Err(Failure::Reported(Exit::Invalid)) }
    }

    /// An interruption is not a failure of a file.
    fn told(&self, failure: Failure, app: &mut App, what: &str) -> Failure {
        if !self.interrupt.is_asked() {
            return failure;
        }
        app.out.say(what);
        Failure::Reported(Exit::Interrupted)
    }

    /// The content of a file, and whether the file is compressed.
    fn open(&self, given: &Given, app: &App) -> io::Result<(Content, bool)> {
        let interrupt = self.interrupt.clone();
        let check = move || match interrupt.is_asked() {
            true => Err(io::Error::from(io::ErrorKind::Interrupted)),
            false => Ok(()),
        };
        let mut from: Box<dyn Read> = match &given.at.path {
            Some(path) => Box::new(File::open(path)?),
            None if given.name == "-" => Box::new(io::stdin().lock()),
            None => Box::new(File::open(&given.name)?),
        };
        let (is_packed, head) = is_packed(&mut from)?;
        // Not only a pipe can be read just once, and the input is read more than once.
        let content = match &given.at.path {
            Some(path) if !is_packed => Content::disk(File::open(path)?)?,
            _ if is_packed => {
                Content::spooled(&mut Unpacking::new(io::Cursor::new(head).chain(from)), &check)?
            }
            _ => Content::spooled(&mut io::Cursor::new(head).chain(from), &check)?,
        };
        let mut progress = Progress::at_once(&app.out, "bytes", Some(content.len() as u64));
        content.watch(move |read| {
            progress.set(read);
            check()
        });
        Ok((content, is_packed))
    }
}

fn failed(name: &str, e: ImportError) -> Failure {
    match e {
        ImportError::Store(e) => e.into(),
        ImportError::Input(e) => Failure::file(name, e),
        other => Failure::file(name, io::Error::other(other)),
    }
}
